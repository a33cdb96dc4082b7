"""Samples one by one: any dataset and any transform, each view under its own seed."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from stillhouse.data.augment import Augment
from stillhouse.data.mixing import Mixing
from stillhouse.data.pixels import channels_of, is_picture, plain_picture, to_pixels
from stillhouse.data.tables import Images, ImageTable, SampleTable, Table, images_of, told
from stillhouse.data.views import LOOKUP, PLAIN_VIEW, lookup, sample_seeds
from stillhouse.errors import DataError


class _Views(Dataset[tuple[Tensor, Any, int]]):
    """Reads (row, seed) keys; datasets and transforms draw under the seed of that view."""

    def __init__(self, table: Images, transform: Callable[[Any], Tensor] | None) -> None:
        self.table = table
        self.transform = transform

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: Any) -> tuple[Tensor, Any, int]:
        row, seed = key
        if self.transform is not None or not isinstance(self.table, ImageTable):
            seed_all(seed)  # a dataset may draw too
        image: Any
        if isinstance(self.table, ImageTable):
            stored = int(self.table.stored(torch.tensor(row)))
            image = self.table.images[stored].permute(2, 0, 1)
        else:
            image = self.table.read(row)
        label: Any = self.table.labels[row].tolist()
        return self._shown(image, row), label, row

    def _shown(self, image: Any, row: int) -> Tensor:
        """Pixels, uint8 [C, H, W], or floats as a network sees them, by the rule of `pixels`.

        A transform is given images of Pillow in mode L or RGB, whatever they came in.
        """
        where = self.table.where(row) if isinstance(self.table, SampleTable) else f"row {row}"
        if self.transform is None:
            return to_pixels(image, where)
        shown = self.transform(plain_picture(image, where) if is_picture(image) else image)
        if not isinstance(shown, Tensor) or not shown.is_floating_point():
            what = shown.dtype if isinstance(shown, Tensor) else type(shown).__name__
            raise DataError(
                f"the transform gave a {what} for row {row}; it must give a float tensor [C, H, W]"
            )
        if not bool(torch.isfinite(shown).all()):
            raise DataError(f"the transform gave nan or inf for {where}; mend it, or the image")
        return shown


def mean_std_of(
    table: Table, *, transformed: bool = False
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of each channel, by which a table is normalised.

    Those of a table in memory; of samples that are read one by one the middle of pixels, and 0 and
    1 of floats, which are taken as they are. ``transformed``: a transform makes floats of them.

    >>> mean_std_of(SampleTable([(torch.zeros(1, 2, 2), 0)], torch.tensor([0]), torch.tensor([0])))
    ((0.0,), (1.0,))
    """
    read = images_of(table, "normalisation")
    if isinstance(read, ImageTable):
        return read.mean_std()
    first, where = read.read(0), read.where(0)
    channels = channels_of(first, where)
    as_they_are = transformed or to_pixels(first, where).is_floating_point()
    middle, spread = (0.0, 1.0) if as_they_are else (0.5, 0.25)
    return (middle,) * channels, (spread,) * channels


def seed_all(number: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch's CPU."""
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.default_generator.manual_seed(number)  # torch.manual_seed also walks every accelerator


class SampleReader:
    """Batches of samples that are read and transformed one by one, with workers if wanted.

    All go through ``augment`` unless a ``transform`` is given; floats are not divided by 255, so
    that of an ``augment`` with mean 0 and std 1 they are as their dataset gave them. Either may be
    mixed, so that a batch reads twice as many samples.
    """

    def __init__(
        self,
        table: Images,
        augment: Augment,
        transform: Callable[[Any], Tensor] | None,
        device: torch.device,
        workers: int,
    ) -> None:
        self._views = _Views(table, transform)
        self._augment = None if transform is not None else augment
        self._mixing = augment.mixing(len(table))
        self._device = device
        self._workers = workers

    def read(self, rows: list[Tensor], *, view: int, seed: int) -> Iterator[dict[str, Tensor]]:
        """Batches for these rows, as signals on the device."""
        mixing = None if view == PLAIN_VIEW else self._mixing
        loader: DataLoader[Any] = DataLoader(
            self._views,
            batch_sampler=_Keys(rows, view, seed, mixing),
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            collate_fn=partial(
                _collate,
                show=partial(self._show, view=view, seed=seed),
                mix=None if mixing is None else partial(mixing.signals, view=view, seed=seed),
            ),
        )
        # Transforms in this process seed the generators; the step seeds them again, so that no
        # random number of the student depends on where samples are read.
        for signals, index in loader:
            yield {
                **{k: v.to(self._device, non_blocking=True) for k, v in told(signals).items()},
                "batch.index": index.to(self._device, non_blocking=True),
                "batch.view": torch.full_like(index, view).to(self._device, non_blocking=True),
                LOOKUP: lookup(index, view),
            }

    def _show(self, images: Tensor, rows: Tensor, view: int, seed: int) -> Tensor:
        """Images are augmented a batch at once, unless a transform made them."""
        if self._augment is None:
            return images
        pixels = images.permute(0, 2, 3, 1)
        if view == PLAIN_VIEW:
            return self._augment(pixels)
        return self._augment.view(pixels, seed=seed, index=rows, view=view)


class _Keys(Sampler[list[tuple[int, int]]]):
    """The (row, seed) keys of each batch, made as they are asked for: an epoch may be long.

    Of a batch that is mixed the partners' follow.
    """

    def __init__(self, rows: list[Tensor], view: int, seed: int, mixing: Mixing | None) -> None:
        self.rows, self.view, self.seed, self.mixing = rows, view, seed, mixing

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for own in self.rows:
            rows = own
            if self.mixing is not None:
                rows = self.mixing.with_partners(seed=self.seed, index=own, view=self.view)
            seeds = sample_seeds(self.seed, rows, self.view)
            yield list(zip(rows.tolist(), seeds.tolist(), strict=True))


def _collate(
    samples: list[tuple[Tensor, Any, int]],
    show: Callable[[Tensor, Tensor], Tensor],
    mix: Callable[..., dict[str, Tensor]] | None,
) -> tuple[Mapping[str, Tensor], Tensor]:
    """The signals of a batch and its rows; where it is mixed, the later half are the partners."""
    images, labels, numbers = zip(*samples, strict=True)
    _check_alike(images)
    rows = torch.tensor(numbers)
    read = {"batch.image": show(torch.stack(images), rows), "batch.label": torch.tensor(labels)}
    if mix is None:
        return read, rows
    index = rows[: len(rows) // 2]
    return mix(read, index=index), index


def _check_alike(images: Sequence[Tensor]) -> None:
    """Refuse a batch that is none: torch would make floats of pixels that lie beside floats."""
    kinds = sorted({str(image.dtype).removeprefix("torch.") for image in images})
    if len(kinds) > 1:
        raise DataError(
            f"images of one batch differ in type ({', '.join(kinds)}): pixels of 0 to 255 and what "
            "a network sees do not go together; let the dataset give one of them"
        )
    shapes = sorted({tuple(image.shape) for image in images})
    if len({shape[0] for shape in shapes}) > 1:
        some = ", ".join(str(list(shape)) for shape in shapes[:3])
        raise DataError(
            f"images of one batch differ in channels ({some}); make all of them grey or all RGB "
            "(image.convert('RGB'))"
        )
    if len(shapes) > 1:
        some = ", ".join(str(list(shape)) for shape in shapes[:3])
        raise DataError(
            f"images of one batch differ in shape ({some}); give a transform that resizes them "
            "(data.size: N in a recipe)"
        )
