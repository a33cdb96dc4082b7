"""Views of images with boxes, by torchvision.transforms.v2: flip, scale, crop and colour.

A view is a function of the generators' seed alone, which its caller sets for each row.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stillhouse.errors import MissingExtra

LEAST_SIDE = 1.0
"""Pixels of a box in a view; a smaller one is no object any more."""
VISIBLE = 0.25
"""Share of a box that a crop must leave; less of it is not the object that was annotated."""


@dataclass(frozen=True)
class BoxViews:
    """What a training image and its boxes go through.

    Args:
        flip: whether half of the views are mirrored.
        scale: s: the image is shown larger or smaller, by a factor in 1/s to s; what reaches out
            of the frame is cut, what is free is grey.
        resized_crop: least share of the area that a crop shows; 0: no crop.
        aspect: a: a crop is wider or taller than the image, by a factor in 1/a to a.
        brightness, contrast, saturation, hue: of the colours, as torchvision's ColorJitter.
    """

    flip: bool = False
    scale: float = 1.0
    resized_crop: float = 0.0
    aspect: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    @property
    def varies(self) -> bool:
        """Whether two views of an image may differ."""
        return self != BoxViews(aspect=self.aspect)


def _v2(what: str) -> Any:
    try:
        from torchvision.transforms import v2
    except ModuleNotFoundError as absent:
        if absent.name != "torchvision":
            raise
        raise MissingExtra(what, "torchvision", "torchvision") from absent
    return v2


def shown_view(
    image: Tensor, boxes: Tensor, views: BoxViews, *, seed: int
) -> tuple[Tensor, Tensor, Tensor, float]:
    """A view of an image and of its boxes.

    Args:
        image: uint8 [3, H, W].
        boxes: left, top, right, bottom, [M, 4].
        views: what may happen to it.
        seed: of this row in this view.

    Returns:
        the image, of the same size; the boxes that are left; which of all these are; and by how
        much areas grew.

    Raises:
        MissingExtra: torchvision is not installed.
    """
    v2 = _v2("augmentation of images with boxes")
    from torchvision import tv_tensors

    height, width = image.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        shown: Any = tv_tensors.Image(image)
        marked: Any = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width))
        jitter = (views.brightness, views.contrast, views.saturation, views.hue)
        if any(jitter):
            shown, marked = v2.ColorJitter(*jitter)(shown, marked)
        if views.flip:
            shown, marked = v2.RandomHorizontalFlip(0.5)(shown, marked)
        left, top, right, bottom = _frame(views, height, width, generator)
        grow = height / (bottom - top) * width / (right - left)
        if (left, top, right, bottom) != (0, 0, width, height):
            frame = top, left, bottom - top, right - left
            shown = _padded_crop(v2, shown, frame)
            moved = marked.as_subclass(Tensor) - torch.tensor([left, top, left, top]).float()
            shown = v2.functional.resize(shown, [height, width], antialias=True)
            ratio = torch.tensor([width / frame[3], height / frame[2]]).repeat(2)
            marked = moved * ratio
    whole = marked.as_subclass(Tensor)
    sides = torch.tensor([width, height, width, height]).float()
    cut = whole.clamp(min=0).minimum(sides)
    keep = _seen(whole, cut)
    return shown.as_subclass(Tensor).contiguous(), cut[keep], keep, grow


def _seen(whole: Tensor, cut: Tensor) -> Tensor:
    """Which boxes are still there: large enough, and enough of what they were."""
    sides, before = cut[:, 2:] - cut[:, :2], whole[:, 2:] - whole[:, :2]
    share = sides.clamp(min=0).prod(1) / before.prod(1).clamp(min=1e-9)
    return (sides >= LEAST_SIDE).all(1) & (share >= VISIBLE)


def _frame(
    views: BoxViews, height: int, width: int, generator: torch.Generator
) -> tuple[int, int, int, int]:
    """What of the image, or around it, is shown: left, top, right, bottom."""
    draws = torch.rand(5, generator=generator).tolist()
    tall, wide = float(height), float(width)
    if views.resized_crop:
        area = views.resized_crop + (1 - views.resized_crop) * draws[0]
        stretch = views.aspect ** (2 * draws[1] - 1)
        tall, wide = (min(1.0, (area / stretch) ** 0.5) * height,
                      min(1.0, (area * stretch) ** 0.5) * width)  # fmt: skip
    if views.scale > 1:
        factor = views.scale ** (2 * draws[2] - 1)
        tall, wide = tall / factor, wide / factor
    rows, columns = max(1, round(tall)), max(1, round(wide))
    top, left = round(draws[3] * (height - rows)), round(draws[4] * (width - columns))
    return left, top, left + columns, top + rows


def _padded_crop(v2: Any, image: Any, frame: tuple[int, int, int, int]) -> Any:
    """A crop that may reach out of the image, where it is grey."""
    top, left, rows, columns = frame
    height, width = image.shape[1:]
    pads = [
        max(0, -left),
        max(0, -top),
        max(0, left + columns - width),
        max(0, top + rows - height),
    ]
    if any(pads):
        image = v2.functional.pad(image, pads, fill=GREY)
    return v2.functional.crop(image, top + pads[1], left + pads[0], rows, columns)


GREY = 124
"""What is free of image: the mean of ImageNet's red, near those of green and blue."""
