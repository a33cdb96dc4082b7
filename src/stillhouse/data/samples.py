"""Samples one by one: any dataset and any transform, each view under its own seed."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stillhouse.data.augment import Augment
from stillhouse.data.image_operations import image_to_tensor
from stillhouse.data.tables import ImageTable, Table
from stillhouse.data.views import LOOKUP, PLAIN_VIEW, lookup, sample_seeds
from stillhouse.errors import DataError


class _Views(Dataset[tuple[Tensor, Any, int]]):
    """Reads (row, seed) keys; datasets and transforms draw under the seed of that view."""

    def __init__(self, table: Table, transform: Callable[[Any], Tensor] | None) -> None:
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
        """Pixels, uint8 [C, H, W], or floats that are normalised."""
        if self.transform is None:
            pixels = image_to_tensor(image).permute(2, 0, 1)
            return pixels if pixels.dtype == torch.uint8 else pixels.float()
        shown = self.transform(image)
        if not isinstance(shown, Tensor) or not shown.is_floating_point():
            what = shown.dtype if isinstance(shown, Tensor) else type(shown).__name__
            raise DataError(
                f"the transform gave a {what} for row {row}; it must give a float tensor [C, H, W]"
            )
        return shown


def seed_all(number: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch's CPU."""
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.default_generator.manual_seed(number)  # torch.manual_seed also walks every accelerator


class SampleReader:
    """Batches of samples that are read and transformed one by one, with workers if wanted.

    Tensors of floats are taken as they are (their dataset normalised them); pixels (uint8, PIL) go
    through ``augment`` unless a ``transform`` is given.
    """

    def __init__(
        self,
        table: Table,
        augment: Augment,
        transform: Callable[[Any], Tensor] | None,
        device: torch.device,
        workers: int,
    ) -> None:
        self._views = _Views(table, transform)
        self._augment = augment
        self._device = device
        self._workers = workers

    def read(self, rows: list[Tensor], *, view: int, seed: int) -> Iterator[dict[str, Tensor]]:
        """Batches for these rows, as signals on the device."""
        loader: DataLoader[Any] = DataLoader(
            self._views,
            batch_sampler=[_keys(some, view, seed) for some in rows],
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            collate_fn=partial(_collate, show=partial(self._show, view=view, seed=seed)),
        )
        # Transforms in this process seed the generators; the step seeds them again, so that no
        # random number of the student depends on where samples are read.
        for images, labels, index in loader:
            yield {
                "batch.image": images.to(self._device, non_blocking=True),
                "batch.label": labels.to(self._device, non_blocking=True),
                "batch.index": index.to(self._device, non_blocking=True),
                "batch.view": torch.full_like(index, view).to(self._device),
                LOOKUP: lookup(index, view),
            }

    def _show(self, images: Tensor, rows: Tensor, view: int, seed: int) -> Tensor:
        """Pixels are augmented a batch at once; floats are what a transform or a dataset made."""
        if images.dtype != torch.uint8:
            return images
        pixels = images.permute(0, 2, 3, 1)
        if view == PLAIN_VIEW:
            return self._augment(pixels)
        return self._augment.view(pixels, seed=seed, index=rows, view=view)


def _keys(rows: Tensor, view: int, seed: int) -> list[tuple[int, int]]:
    seeds = sample_seeds(seed, rows, view)
    return list(zip(rows.tolist(), seeds.tolist(), strict=True))


def _collate(
    samples: list[tuple[Tensor, Any, int]], show: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    images, labels, numbers = zip(*samples, strict=True)
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        some = ", ".join(str(list(shape)) for shape in sorted(shapes)[:3])
        raise DataError(
            f"images of one batch differ in shape ({some}); give a transform that resizes them "
            "(data.size: N in a recipe)"
        )
    rows = torch.tensor(numbers)
    return show(torch.stack(images), rows), torch.tensor(labels), rows
