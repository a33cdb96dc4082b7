"""Datasets and DataLoaders of PyTorch as batches: what `fit` takes beside our own tables."""

from collections.abc import Iterator, Mapping, Sequence, Sized
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, default_collate

from stillhouse.data.augment import Augment
from stillhouse.data.batch_checks import BATCH, BatchChecks
from stillhouse.data.batches import EVALUATION_BATCH, Batches, BatchSource, Order
from stillhouse.data.orders import OrderSampler
from stillhouse.data.pixels import is_picture, to_pixels
from stillhouse.data.samples import mean_std_of, seed_all
from stillhouse.data.tables import ImageTable, Samples, SampleTable
from stillhouse.data.views import PLAIN_VIEW, sample_seeds, shuffled
from stillhouse.errors import DataError

Data = BatchSource | ImageTable | SampleTable | DataLoader[Any] | Samples
"""What can be trained on."""

NAMES = {
    "images": "image", "img": "image", "pixel_values": "image",
    "labels": "label", "target": "label", "targets": "label",
}  # fmt: skip
"""Other names of columns, as people call them."""


def batches_of(
    data: Data,
    *,
    batch_size: int = 64,
    seed: int = 0,
    device: torch.device | None = None,
    rank: int = 0,
    world: int = 1,
) -> BatchSource:
    """Anything that can be trained on, as batches.

    Args:
        data: `Batches`, a table, a DataLoader, or a map-style Dataset of (image, label) or of
            mappings.
        batch_size: of a table or Dataset, of all processes together.
        seed: of the order, and of what a Dataset draws at random.
        device: where batches arrive.
        rank, world: this process among all.

    Raises:
        DataError: it is none of these.

    >>> batches_of([(torch.zeros(4), 0), (torch.ones(4), 1)], batch_size=2).sample(1)["batch.label"]
    tensor([0])
    """
    where = device or torch.device("cpu")
    _refuse_arrays(data)
    if isinstance(data, ImageTable | SampleTable):
        mean, std = mean_std_of(data)
        size = min(batch_size, len(data))
        return Batches(data, Augment(mean, std), batch_size=size, order_seed=seed, view_seed=seed,
                       device=where, rank=rank, world=world)  # fmt: skip
    if isinstance(data, DataLoader):
        return LoaderBatches(data, seed, where, world)
    if all(hasattr(data, name) for name in ("epoch", "once", "sample")):
        return cast(BatchSource, data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return DatasetBatches(cast(Samples, data), batch_size, seed, where, rank, world)
    raise DataError(
        f"a {type(data).__name__} cannot be trained on; give a Dataset of (image, label), a "
        "DataLoader of such batches, or a table (stillhouse.data)"
    )


def _refuse_arrays(data: Any) -> None:
    """A pair of arrays has a length, too: it is no dataset of two samples."""
    parts = data if isinstance(data, tuple) else (data,)
    arrays = bool(parts) and all(isinstance(part, Tensor | np.ndarray) for part in parts)
    if arrays or isinstance(data, str | bytes | Mapping):
        what = "a tuple of arrays" if isinstance(data, tuple) else f"a {type(data).__name__}"
        raise DataError(
            f"{what} is no dataset of samples; give TensorDataset(images, labels), or any Dataset "
            "of (image, label)"
        )


class DatasetBatches:
    """A map-style Dataset in batches; its order and what it draws are functions of the seed.

    Args:
        dataset: gives (image, label) or a mapping with 'image' and 'label', as tensors.
        batch_size: of all processes together.
        seed: of order and randomness.
        device: where batches arrive.
        rank, world: this process among all.
    """

    loading = 0

    def __init__(
        self, dataset: Samples, batch_size: int, seed: int, device: torch.device,
        rank: int = 0, world: int = 1,
    ) -> None:  # fmt: skip
        if not len(dataset):
            raise DataError("the dataset has no rows, so there is nothing to serve")
        self.dataset, self.order_seed, self.device = dataset, seed, device
        self.checks = BatchChecks()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise DataError(f"batch_size is {batch_size!r}; it is a whole number, at least 1")
        self.batch_size = min(batch_size, len(dataset))
        self.rank, self.world = rank, world
        if self.batch_size % world:
            raise DataError(
                f"a batch of {self.batch_size} cannot be cut into {world} equal parts; choose a "
                f"multiple of {world}"
            )

    @property
    def rows(self) -> int:
        """Rows of the dataset."""
        return len(self.dataset)

    @cached_property
    def labels(self) -> Tensor:
        """The label of each row; the dataset is read once for them."""
        shown = self._shown(torch.arange(self.rows), PLAIN_VIEW)
        return shown[f"{BATCH}label"].cpu()

    def __len__(self) -> int:
        return self.rows // self.batch_size

    def epoch(
        self, epoch: int, *, start: int = 0, order: Order | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """The training batches of an epoch, from a step on."""
        seed = self.order_seed
        shown = order(self.labels, seed, epoch) if order else shuffled(seed, epoch, self.rows)
        share = self.batch_size // self.world
        for step in range(start, len(self)):
            first = step * self.batch_size + self.rank * share
            yield self._shown(shown[first : first + share], epoch)

    def once(self) -> Iterator[dict[str, Tensor]]:
        """Every row once, in order; this process's share of it."""
        for rows in torch.arange(self.rank, self.rows, self.world).split(EVALUATION_BATCH):
            yield self._shown(rows, PLAIN_VIEW)

    def sample(self, count: int = 4) -> dict[str, Tensor]:
        """The first rows as the first epoch shows them."""
        return self._shown(torch.arange(min(count, self.rows)), 0)

    def _shown(self, rows: Tensor, view: int) -> dict[str, Tensor]:
        samples = []
        for row, seed in zip(rows.tolist(), sample_seeds(self.order_seed, rows, view), strict=True):
            seed_all(int(seed))
            samples.append(_as_tensors(self.dataset[row], row))
        first, last = int(rows[0]), int(rows[-1])
        where = f"a batch of the dataset (rows {first}, ..., {last})"
        try:
            collated = default_collate(samples)
        except (TypeError, RuntimeError, ValueError, KeyError) as error:
            said = str(error).splitlines()[0]
            raise DataError(
                f"{where}: its samples make no batch ({said}); each must be (image, label) of "
                "tensors, and all images of one shape"
            ) from error
        signals = _signals(collated, where)
        signals.setdefault(f"{BATCH}index", rows)
        self.checks.look(signals, where)
        return {name: value.to(self.device, non_blocking=True) for name, value in signals.items()}


class LoaderBatches:
    """A DataLoader in our form: its batches, in its own order, seeded anew for each of them.

    Its batches are those of this process; of several processes each needs a sampler of its share.
    """

    def __init__(
        self, loader: DataLoader[Any], seed: int, device: torch.device, world: int = 1
    ) -> None:
        self.loader, self.order_seed, self.device, self.world = loader, seed, device, world
        self.checks = BatchChecks()
        if isinstance(loader.dataset, IterableDataset) and not hasattr(loader.dataset, "__len__"):
            raise DataError(
                "the DataLoader reads an IterableDataset without a length, so nobody knows how "
                "long an epoch is; give the dataset a __len__, or use your own loop: stage.open"
            )
        if not len(loader):
            raise DataError("the DataLoader has no batches, so there is nothing to serve")

    @cached_property
    def _first(self) -> dict[str, Tensor]:
        return next(self.epoch(0))

    @cached_property
    def batch_size(self) -> int:
        """Rows of a step of all processes."""
        return self.world * len(next(iter(self._first.values())))

    @property
    def rows_of_last(self) -> int | None:
        """Rows of the last batch of an epoch, where that is a shorter one and can be foretold."""
        size, sampler = self.loader.batch_size, self.loader.sampler
        if size is None or self.loader.drop_last or not isinstance(sampler, Sized):
            return None
        return len(sampler) % size or None

    @property
    def loading(self) -> int:
        """Its worker processes."""
        return self.loader.num_workers

    @property
    def rows(self) -> int | None:
        """Rows of its dataset, where that has a length."""
        return len(self.loader.dataset) if hasattr(self.loader.dataset, "__len__") else None

    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(
        self, epoch: int, *, start: int = 0, order: Order | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """The batches of an epoch, from a step on; those before it are read and left out.

        Raises:
            DataError: the method wants an order of its own, and the sampler is not that.
        """
        sampler = self.loader.sampler
        if order is not None and not (isinstance(sampler, OrderSampler) and sampler.order is order):
            raise DataError(
                "this method shows rows in an order of its own; give it to the DataLoader: "
                "DataLoader(dataset, batch_size, sampler=stage.sampler(labels))"
            )
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        self._seed(epoch, -1)
        batches = iter(self.loader)
        for step in range(len(self)):
            self._seed(epoch, step)
            where = f"batch {step + 1} of {len(self)} of the DataLoader, epoch {epoch + 1}"
            batch = self._next(batches, where)
            if batch is None:
                return
            if step >= start:
                signals = _signals(batch, where)
                self.checks.look(signals, where)
                yield {
                    name: value.to(self.device, non_blocking=True)
                    for name, value in signals.items()
                }

    def _next(self, batches: Iterator[Any], where: str) -> Any:
        """The next batch; None at the end."""
        try:
            return next(batches, None)
        except (TypeError, RuntimeError) as error:
            if "default_collate" not in str(error) and "stack expects" not in str(error):
                raise
            said = str(error).splitlines()[-1 if "Traceback" in str(error) else 0]
            raise DataError(
                f"{where}: its samples make no batch ({said}); images must be tensors of one "
                "shape: give the dataset a transform such as ToTensor()"
            ) from error

    def once(self) -> Iterator[dict[str, Tensor]]:
        """Every batch once."""
        return self.epoch(0)

    def sample(self, count: int = 4) -> dict[str, Tensor]:
        """The first rows of the first batch."""
        return {name: value[:count] for name, value in self._first.items()}

    def _seed(self, epoch: int, step: int) -> None:
        seed_all(int(sample_seeds(self.order_seed, torch.tensor([step + 1]), epoch)[0]))


def _as_tensors(sample: Any, row: int) -> Any:
    """A sample whose image is no tensor yet, by the rule of `stillhouse.data.pixels`."""

    def shown(value: Any) -> Any:
        if is_picture(value):
            raise DataError(
                f"row {row} of the dataset has a PIL image, and a network is shown floats: give "
                "the dataset a transform such as ToTensor()"
            )
        if isinstance(value, np.ndarray) and value.ndim == 3:
            return to_pixels(value, f"the image of row {row}")
        return value

    if isinstance(sample, Mapping):
        return {key: shown(value) for key, value in sample.items()}
    if isinstance(sample, tuple | list) and sample:
        return (shown(sample[0]), *sample[1:])
    return sample


def _signals(batch: Any, where: str) -> dict[str, Tensor]:
    """A batch of a loader under our names.

    Raises:
        DataError: it is of no form that is known.
    """
    if isinstance(batch, Mapping):
        return {f"{BATCH}{NAMES.get(str(k), str(k))}": v for k, v in batch.items()
                if isinstance(v, Tensor)}  # fmt: skip
    known = ("image", "label", "index")
    fits = isinstance(batch, Sequence) and 2 <= len(batch) <= len(known)
    if fits and all(isinstance(value, Tensor) for value in batch):
        return {f"{BATCH}{name}": v for name, v in zip(known, batch, strict=False)}
    what = [type(each).__name__ for each in batch] if isinstance(batch, Sequence) else type(batch)
    raise DataError(
        f"{where}: a batch must be (images, labels), (images, labels, index) or a mapping of "
        f"tensors; it is {what}. Images must be tensors: give the dataset a "
        "transform such as ToTensor()"
    )
