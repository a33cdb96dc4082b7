"""Samples one by one: any dataset and any transform, each view under its own seed."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stillhouse.data.augment import Augment
from stillhouse.data.tables import ImageTable, Table
from stillhouse.data.views import LOOKUP, PLAIN_VIEW, lookup, sample_seed
from stillhouse.errors import DataError


def image_to_tensor(image: Any) -> Tensor:
    """A PIL image or an array as uint8 [H, W, C]; a tensor [C, H, W] or [H, W] as it is, moved.

    >>> image_to_tensor(np.zeros((2, 3), dtype=np.uint8)).shape
    torch.Size([2, 3, 1])
    """
    if isinstance(image, Tensor):
        return image[..., None] if image.ndim == 2 else image.permute(1, 2, 0)
    array = torch.from_numpy(np.array(image))
    return array[..., None] if array.ndim == 2 else array


class _Views(Dataset[tuple[Tensor, int, int]]):
    """Reads (row, view, seed) keys; datasets and transforms run under the seed of that view."""

    def __init__(
        self, table: Table, augment: Augment, transform: Callable[[Any], Tensor] | None
    ) -> None:
        self.table = table
        self.augment = augment
        self.transform = transform

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: Any) -> tuple[Tensor, int, int]:
        row, view, seed = key
        if self.transform is not None or not isinstance(self.table, ImageTable):
            _seed_all(sample_seed(seed, row, view))  # a dataset may draw too
        image: Any
        if isinstance(self.table, ImageTable):
            stored = int(self.table.stored(torch.tensor(row)))
            image = self.table.images[stored].permute(2, 0, 1)
        else:
            image = self.table.read(row)
        return self._shown(image, row, view, seed), int(self.table.labels[row]), row

    def _shown(self, image: Any, row: int, view: int, seed: int) -> Tensor:
        if self.transform is not None:
            shown = self.transform(image)
            if not isinstance(shown, Tensor) or not shown.is_floating_point():
                what = shown.dtype if isinstance(shown, Tensor) else type(shown).__name__
                raise DataError(
                    f"the transform gave a {what} for row {row}; it must give a "
                    "float tensor [C, H, W]"
                )
            return shown
        pixels = image_to_tensor(image)[None]
        if pixels.dtype != torch.uint8:
            return pixels[0].permute(2, 0, 1).float()
        if view == PLAIN_VIEW:
            return self.augment(pixels)[0]
        return self.augment.view(pixels, seed=seed, index=torch.tensor([row]), view=view)[0]


def _seed_all(number: int) -> None:
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
        self._views = _Views(table, augment, transform)
        self._device = device
        self._workers = workers

    def read(self, rows: list[Tensor], *, view: int, seed: int) -> Iterator[dict[str, Tensor]]:
        """Batches for these rows, as signals on the device."""
        loader: DataLoader[Any] = DataLoader(
            self._views,
            batch_sampler=[[(row, view, seed) for row in some.tolist()] for some in rows],
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            collate_fn=_collate,
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


def _collate(samples: list[tuple[Tensor, int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    images, labels, rows = zip(*samples, strict=True)
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        some = ", ".join(str(list(shape)) for shape in sorted(shapes)[:3])
        raise DataError(
            f"images of one batch differ in shape ({some}); give a transform that resizes them "
            "(data.size: N in a recipe)"
        )
    return torch.stack(images), torch.tensor(labels), torch.tensor(rows)
