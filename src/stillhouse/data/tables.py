"""Tables: the rows of one split, in memory (`ImageTable`) or read one by one (`SampleTable`).

Rows that are no images, or more than an image, are a `SignalTable`.

`FloatTable` is an `ImageTable` of floats that a network takes as they are: synthetic images.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.signal_table import SignalTable
from stillhouse.errors import DataError

CHUNK_VALUES = 1 << 24  # image values looked at in one go: 16 MiB
IN_MEMORY = 1 << 31
"""Bytes of decoded images up to which all of them are kept in memory: 2 GiB."""


class Samples(Protocol):
    """A map-style dataset: `samples[row]` gives `(image, label)`."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Any: ...


@runtime_checkable
class HasFingerprint(Protocol):
    """A dataset that can say what it holds without reading every image."""

    def fingerprint(self) -> str:
        """Another text whenever an image or its order changed."""
        ...


@dataclass(frozen=True, eq=False)
class ImageTable:
    """Images of one size, all in memory as bytes.

    Shapes:
        images: `[N, H, W, C]` uint8, contiguous; labels: `[N]` int64, or float32 `[N, ...]`
            for a task of numbers, `[N, 0]` where rows have none.

    Raises:
        DataError: another type or shape, or lengths that differ.

    >>> table = ImageTable(torch.full((4, 2, 2, 1), 51, dtype=torch.uint8), torch.arange(4))
    >>> len(table), table.height, table.width, table.channels
    (4, 2, 2, 1)
    >>> table.mean_std()
    ((0.2,), (0.0,))
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(
                f"an image table holds uint8 images [N, H, W, C]; these are {self.images.dtype} "
                f"{list(self.images.shape)}"
            )
        if not self.images.is_contiguous():
            raise DataError("the images of a table must be contiguous; call images.contiguous()")
        self._check_count()

    def _check_count(self) -> None:
        _check_labels(self.labels, len(self.images), "images")

    def stored(self, rows: Tensor) -> Tensor:
        """Which image a row is: its own."""
        return rows

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> "ImageTable":
        """Copy these rows, in this order."""
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    @property
    def height(self) -> int:
        """Rows of pixels of each image."""
        return self.images.shape[1]

    @property
    def width(self) -> int:
        """Columns of pixels of each image."""
        return self.images.shape[2]

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.images.shape[3]

    def mean_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, in units of [0, 1].

        Counts the 256 values per channel, so the sums are exact whatever the number of images; the
        deviation is that of the population (divided by N, not N - 1).

        Raises:
            DataError: the table has no rows.
        """
        if not self.images.numel():
            raise DataError("an empty table has no mean; it needs at least one image")
        counts = torch.zeros(self.channels, 256, dtype=torch.int64)
        per_chunk = max(1, CHUNK_VALUES // self.images[0].numel())
        for chunk in torch.split(self.images, per_chunk):
            for channel in range(self.channels):
                counts[channel] += chunk[..., channel].flatten().bincount(minlength=256).cpu()
        values = torch.arange(256, dtype=torch.float64) / 255
        share = counts.double() / counts[0].sum()
        mean = share @ values
        variance = (share * (values - mean[:, None]) ** 2).sum(1)
        return tuple(mean.tolist()), tuple(variance.sqrt().tolist())

    def fingerprint(self) -> str:
        """Sha256 of shapes and bytes: equal exactly when images and labels are equal."""
        digest = hashlib.sha256(f"images {list(self.images.shape)}".encode())
        digest.update(_bytes(self.images))
        digest.update(_bytes(self.labels))
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class FloatTable(ImageTable):
    """Images as a network sees them, in memory as float32: nothing is left to normalise.

    Synthetic images are kept so: rounding them to bytes would show the student other images than
    the ones that were made.

    Shapes:
        images: `[N, H, W, C]` float32, contiguous; labels: `[N]` int64.

    Raises:
        DataError: another type or shape, values that are not finite, or lengths that differ.

    >>> table = FloatTable(torch.full((4, 2, 2, 1), -1.7), torch.arange(4))
    >>> table.mean_std(), type(table.take(torch.tensor([0]))).__name__
    (((0.0,), (1.0,)), 'FloatTable')
    """

    def __post_init__(self) -> None:
        if self.images.dtype != torch.float32 or self.images.ndim != 4:
            raise DataError(
                f"a float table holds float32 images [N, H, W, C]; these are {self.images.dtype} "
                f"{list(self.images.shape)}"
            )
        if not self.images.is_contiguous():
            raise DataError("the images of a table must be contiguous; call images.contiguous()")
        if not bool(torch.isfinite(self.images).all()):
            raise DataError("the images hold nan or inf; leave these rows out")
        self._check_count()

    def mean_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Zero and one: the values are taken as they are."""
        return (0.0,) * self.channels, (1.0,) * self.channels


@dataclass(frozen=True, eq=False)
class RepeatedTable(FloatTable):
    """A float table of more rows than it has images: row i is image ``i mod N``.

    An epoch then shows each image several times, each time under a view of its own (a view belongs
    to a row), and a small set is learnt on as long as a large one.

    Shapes:
        images: `[N, H, W, C]` float32, contiguous; labels: `[M]` int64, M at least N.

    >>> few = FloatTable(torch.zeros(2, 1, 1, 1), torch.tensor([5, 7]))
    >>> table = RepeatedTable.of(few, 5)
    >>> len(table), table.labels.tolist(), table.stored(torch.tensor([4])).tolist()
    (5, [5, 7, 5, 7, 5], [0])
    """

    @classmethod
    def of(cls, table: FloatTable, rows: int) -> "RepeatedTable":
        """So many rows of a table, again and again."""
        return cls(table.images, table.labels[torch.arange(rows) % len(table)])

    def _check_count(self) -> None:
        if len(self.labels) < len(self.images):
            raise DataError(
                f"{len(self.labels)} rows for {len(self.images)} images: some would never be shown"
            )

    def stored(self, rows: Tensor) -> Tensor:
        """Which image a row is."""
        return rows % len(self.images)

    def take(self, rows: Tensor) -> FloatTable:
        """Copy these rows, in this order, each with an image of its own."""
        return FloatTable(self.images[self.stored(rows)], self.labels[rows])


@dataclass(frozen=True, eq=False)
class SampleTable:
    """Rows of a map-style dataset, read when they are asked for.

    For images of several sizes, for more images than memory holds and for the user's own datasets.
    `labels[i]` is the label of row `rows[i]` of the dataset.

    Shapes:
        labels: `[N]` int64; rows: `[N]` int64.

    Raises:
        DataError: another type or shape, or lengths that differ.

    >>> samples = [("a", 0), ("b", 1), ("c", 1)]
    >>> table = SampleTable(samples, labels=torch.tensor([1, 0]), rows=torch.tensor([2, 0]))
    >>> table.read(0), len(table.take(torch.tensor([1])))
    ('c', 1)
    """

    dataset: Samples
    labels: Tensor
    rows: Tensor

    def __post_init__(self) -> None:
        if self.rows.dtype != torch.int64 or self.rows.ndim != 1:
            raise DataError(f"rows must be int64 [N]; they are {self.rows.dtype}")
        _check_labels(self.labels, len(self.rows), "rows")

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Tensor) -> "SampleTable":
        """Select these rows of this table, in this order; no image is read."""
        return SampleTable(self.dataset, self.labels[rows], self.rows[rows])

    def read(self, i: int) -> Any:
        """Return the image of row `i` as the dataset gives it: PIL, numpy [H, W, C] or tensor."""
        return self.dataset[int(self.rows[i])][0]

    def where(self, i: int) -> str:
        """What messages call row `i`: by its number in the dataset."""
        return f"row {int(self.rows[i])} of {type(self.dataset).__name__}"

    def fingerprint(self) -> str:
        """Sha256 of rows, labels, and of the dataset as far as it tells.

        A dataset with a method `fingerprint() -> str` is asked, as what `load` reads has it; of any
        other the first and last sample of this table are taken, see `fingerprint_of`.
        """
        digest = hashlib.sha256(f"samples {len(self.dataset)} {len(self)}".encode())
        digest.update(_bytes(self.labels))
        digest.update(_bytes(self.rows))
        ends = self.rows[[0, -1]].tolist() if len(self) else []
        digest.update(fingerprint_of(self.dataset, ends).encode())
        return digest.hexdigest()


def fingerprint_of(samples: Samples, ends: Sequence[int]) -> str:
    """What a dataset says of itself; of one that says nothing, class, length and these samples.

    Where it says nothing, **a change of pixels in other rows is not noticed**. Samples are read
    with fixed seeds of torch, numpy and random, so that a transform that draws from these does not
    change the fingerprint.

    >>> len(fingerprint_of([(torch.zeros(1, 2, 2), 0)], [0]))
    64
    """
    if isinstance(samples, HasFingerprint):
        return samples.fingerprint()
    kind = type(samples)
    digest = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__} {len(samples)}".encode())
    for row in ends:
        with fixed_seeds():
            digest.update(image_bytes(samples[row][0]))
    return digest.hexdigest()


def is_decoded_here(samples: Samples) -> bool:
    """Whether the images of a dataset are decoded or resized by us, so that nobody augments them.

    >>> is_decoded_here([(torch.zeros(1, 2, 2), 0)])
    False
    """
    return bool(getattr(samples, "decoded_here", False))


Images: TypeAlias = ImageTable | SampleTable
Table: TypeAlias = ImageTable | SampleTable | SignalTable


def images_of(table: Table, what: str) -> Images:
    """A table of images alone.

    Args:
        table: any.
        what: is asked of it, for the message.

    Raises:
        DataError: its rows are something else.
    """
    if isinstance(table, SignalTable):
        raise DataError(f"{what} is about images, and these rows are {table.noun}; leave it out")
    return table


def has_labels(table: Table) -> bool:
    """Whether anything is known of its rows: labels `[N, 0]` are none.

    >>> has_labels(ImageTable(torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.zeros(2, 0)))
    False
    """
    return table.labels.shape[1:] != (0,)


def told(signals: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The signals of a batch without labels `[B, 0]`, of rows that have none.

    >>> sorted(told({"batch.image": torch.zeros(2, 1), "batch.label": torch.zeros(2, 0)}))
    ['batch.image']
    """
    return {name: value for name, value in signals.items() if value.shape[1:] != (0,)}


def _check_labels(labels: Tensor, rows: int, what: str) -> None:
    classes = labels.dtype == torch.int64 and labels.ndim == 1
    if not classes and not labels.is_floating_point():
        raise DataError(
            f"labels must be int64 [N], or numbers with a fraction [N, ...]; they are "
            f"{labels.dtype} {list(labels.shape)}"
        )
    if len(labels) != rows:
        raise DataError(f"{rows} {what} but {len(labels)} labels; each needs exactly one")


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return flat.numpy().data


def image_bytes(image: Any) -> bytes:
    """Return shape and bytes of an image; nothing of what is neither tensor, array nor PIL."""
    if isinstance(image, Tensor):
        dtype, image = str(image.dtype), image.detach().cpu().contiguous()
        return f"{dtype} {list(image.shape)}".encode() + bytes(_bytes(image))
    if isinstance(image, np.ndarray):
        return f"{image.dtype} {list(image.shape)}".encode() + image.tobytes()
    if hasattr(image, "mode") and hasattr(image, "tobytes"):  # PIL, without importing it
        return f"{image.mode} {image.size}".encode() + bytes(image.tobytes())
    return b""


@contextmanager
def fixed_seeds() -> Iterator[None]:
    """Within the block the generators of Python, NumPy and PyTorch start from 0; then as before."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
