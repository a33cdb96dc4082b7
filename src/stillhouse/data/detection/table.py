"""BoxTable: rows that are images with boxes, all shown in one frame."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import ClassVar, Self

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from stillhouse.data.detection.annotations import Annotated
from stillhouse.data.detection.target import packed
from stillhouse.data.detection.views import GREY, BoxViews, shown_view
from stillhouse.data.signal_table import SignalTable
from stillhouse.data.views import PLAIN_VIEW, sample_seeds
from stillhouse.errors import DataError

DIVISIBLE = 32
"""Sides of the frame: what five halvings go into, as torchvision pads its batches."""


@dataclass(frozen=True, eq=False)
class BoxTable(SignalTable):
    """Images with boxes. An image keeps its aspect and lies in the upper left of the frame.

    Args:
        labels: a number for each row, by which splits are drawn.
        rows: what is annotated.
        classes: the names that classes of boxes are numbers of.
        frame: height and width of what is shown.
        longest: the longer side of an image in it; None: images are shown as large as they are.
        views: what training images go through.
        most: boxes of a label: at least as many as any row has.
    """

    rows: Sequence[Annotated] = ()
    classes: tuple[str, ...] = ()
    frame: tuple[int, int] = (DIVISIBLE, DIVISIBLE)
    longest: int | None = None
    views: BoxViews = field(default_factory=BoxViews)
    most: int = 1

    noun: ClassVar[str] = "images with boxes"
    evaluated: ClassVar[int | None] = 16

    @property
    def signals(self) -> tuple[str, ...]:
        """The image, floats in 0..1, its boxes (`stillhouse.data.detection.target`), and what share
        of the frame it has in height and width; the rest is filling.
        """
        return "image", "label", "content"

    @property
    def varies(self) -> bool:  # type: ignore[override]
        """Whether two views of a row may differ."""
        return self.views.varies

    def take(self, rows: Tensor) -> Self:
        """These rows, in this order."""
        return replace(self, labels=self.labels[rows], rows=[self.rows[at] for at in rows.tolist()])

    def fingerprint(self) -> str:
        """Another text whenever a file, a box, a class or their order changed."""
        digest = hashlib.sha256("\n".join(self.classes).encode())
        for row in self.rows:
            digest.update(row.image.read_bytes())
            digest.update(repr((row.name, row.size, row.classes)).encode())
            for values in (row.boxes, row.crowd, row.area):
                digest.update(np.ascontiguousarray(values).tobytes())
        digest.update(repr((self.frame, self.longest)).encode())
        if self.views.varies:
            digest.update(repr(self.views).encode())
        return digest.hexdigest()

    def show(self, rows: Tensor, *, view: int, seed: int) -> dict[str, Tensor]:
        """Images [B, 3, H, W] in 0..1, labels [B, most, 9] and shares of the frame [B, 2]."""
        seeds = sample_seeds(seed, rows, view).tolist()
        shown = [
            self._shown(self.rows[row], None if view == PLAIN_VIEW else draw)
            for row, draw in zip(rows.tolist(), seeds, strict=True)
        ]
        images, labels = zip(*shown, strict=True)
        sides = [fitted(self.rows[row].size, self.longest) for row in rows.tolist()]
        content = torch.tensor(sides).float() / torch.tensor(self.frame)
        return {"image": torch.stack(images), "label": torch.stack(labels), "content": content}

    def _shown(self, row: Annotated, seed: int | None) -> tuple[Tensor, Tensor]:
        height, width = fitted(row.size, self.longest)
        image = torch.from_numpy(np.array(_opened(row).resize((width, height), 2))).permute(2, 0, 1)
        scale = row.size[0] / width, row.size[1] / height
        boxes = torch.from_numpy(row.boxes).float() / torch.tensor(scale).repeat(2)
        keep, area = torch.ones(len(boxes), dtype=torch.bool), torch.from_numpy(row.area).float()
        if seed is not None and self.views.varies:
            image, boxes, keep, _ = shown_view(image, boxes, self.views, seed=seed)
        framed = torch.full((3, *self.frame), float(GREY) / 255)
        framed[:, :height, :width] = image.float() / 255
        number = {name: at for at, name in enumerate(self.classes)}
        classes = torch.tensor([number[name] for name in row.classes], dtype=torch.int64)[keep]
        crowd = torch.from_numpy(row.crowd)[keep]
        label = packed(classes, boxes, crowd, area[keep], scale=scale, rows=self.most)
        return framed, label


def fitted(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """Height and width of an image of this width and height whose longer side is ``longest``.

    >>> fitted((640, 480), 320)
    (240, 320)
    """
    width, height = size
    if longest is None:
        return height, width
    factor = longest / max(size)
    return max(1, round(height * factor)), max(1, round(width * factor))


def frame_of(sizes: Sequence[tuple[int, int]], longest: int | None) -> tuple[int, int]:
    """The smallest frame into which images of these widths and heights fit.

    >>> frame_of([(640, 480), (300, 600)], 320)
    (320, 320)
    """
    found = [fitted(size, longest) for size in sizes]
    height, width = max(each[0] for each in found), max(each[1] for each in found)
    return -(-height // DIVISIBLE) * DIVISIBLE, -(-width // DIVISIBLE) * DIVISIBLE


def _opened(row: Annotated) -> Image.Image:
    try:
        with Image.open(BytesIO(row.image.read_bytes())) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError) as error:
        raise DataError(f"image '{row.name}' cannot be decoded: {error}") from error
