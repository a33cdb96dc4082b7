"""Augmentation of whole batches on their device: crop, flip, affine, normalise, cutout."""

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.image_operations import random_affine, random_blur
from stillhouse.data.views import uniform, uniforms

# Each random choice of a sample draws under its own number, so that one option never moves another.
_ROW, _COLUMN, _FLIP, _CUT_ROW, _CUT_COLUMN, *_AFFINE, _BLUR, _FADE = range(11)


@dataclass(frozen=True)
class Augment:
    """What training images go through; evaluation only normalises.

    Args:
        crop: pad by so many zero pixels, then cut the old size at a random place (4: the CIFAR
            recipe of He et al., 2016). 0: none.
        flip: mirror half of the images left to right.
        cutout: side of the square that is set to the mean (DeVries & Taylor, arXiv 1708.04552;
            16 for CIFAR-10, 8 for CIFAR-100 there). 0: none.
        rotate: turn by up to so many degrees to either side (15 for CIFAR-100: the code of Yuan et
            al., CVPR 2020). 0: none.
        shift: shift by up to so many pixels to each side, fractions too. 0: none.
        scale: resize by up to this factor, up or down. 1: none.
        blur: blur by a Gaussian of up to so many pixels (standard deviation). 0: none.
        fade: multiply by a factor between this and 1, uniform in its logarithm; for images that
            are stronger than those that will be met, such as impressions. 1: none.
        mean, std: per channel, for images in [0, 1].

    Turning, shifting and resizing fill with zero pixels, as the crop does.

    >>> plain = Augment(mean=(0.0,), std=(1.0,))
    >>> image = torch.full((1, 2, 2, 1), 255, dtype=torch.uint8)
    >>> plain(image).flatten().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: int = 0
    flip: bool = False
    cutout: int = 0
    rotate: float = 0.0
    shift: float = 0.0
    scale: float = 1.0
    blur: float = 0.0
    fade: float = 1.0

    @property
    def affine(self) -> bool:
        """Whether images are turned, shifted or resized by fractions of a pixel."""
        return bool(self.rotate or self.shift or self.scale != 1)

    @property
    def floating(self) -> bool:
        """Whether new pixel values are made, not only places changed."""
        return self.affine or bool(self.blur) or self.fade != 1

    def identity(self) -> dict[str, Any]:
        """What decides the images: an option that is off is not named, whenever it came.

        >>> Augment((0.5,), (0.25,), crop=4).identity()
        {'mean': (0.5,), 'std': (0.25,), 'crop': 4, 'flip': False, 'cutout': 0}
        """
        always = ("mean", "std", "crop", "flip", "cutout")
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name in always or getattr(self, each.name) != each.default
        }

    @property
    def varies(self) -> bool:
        """Whether two views of an image may differ."""
        return bool(self.crop or self.flip or self.cutout or self.floating)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise only; floats are not divided by 255.

        Shapes:
            images: uint8 or float32 [B, H, W, C]; returns float32 [B, C, H, W] in channels_last
            layout.
        """
        white = 255 if images.dtype == torch.uint8 else 1
        scale = torch.tensor([1 / (white * s) for s in self.std], device=images.device)
        shift = torch.tensor(
            [-m / s for m, s in zip(self.mean, self.std, strict=True)], device=images.device
        )
        return torch.addcmul(shift, images.float(), scale).permute(0, 3, 1, 2)

    def view(self, images: Tensor, *, seed: int, index: Tensor, view: int) -> Tensor:
        """The view of each image, a pure function of (seed, index, view).

        Shapes:
            images: uint8 or float32 [B, H, W, C]; index: int64 [B]; returns float32 [B, C, H, W].
        """
        normal = self(self._remade(self._moved(images, seed, index, view), seed, index, view))
        return self._cut(normal, seed, index, view) if self.cutout else normal

    def _moved(self, images: Tensor, seed: int, index: Tensor, view: int) -> Tensor:
        """Pad-crop and flip as one gather."""
        if not self.crop and not self.flip:
            return images
        count, height, width, _ = images.shape
        rows = torch.arange(height, device=images.device).expand(count, height)
        columns = torch.arange(width, device=images.device).expand(count, width)
        flip, down, right = uniforms(seed, index, view, (_FLIP, _ROW, _COLUMN))[:, :, None]
        if self.flip:
            columns = torch.where(flip >= 0.5, width - 1 - columns, columns)
        if self.crop:
            places = 2 * self.crop + 1
            rows = rows + (down * places).long()
            columns = columns + (right * places).long()
            images = F.pad(images, (0, 0, self.crop, self.crop, self.crop, self.crop))
        sample = torch.arange(count, device=images.device)[:, None, None]
        return images[sample, rows[:, :, None], columns[:, None, :]]

    def _remade(self, images: Tensor, seed: int, index: Tensor, view: int) -> Tensor:
        """Turn, shift, resize, blur and fade, before anything is normalised: outside is black."""
        if not self.floating:
            return images
        made = images.permute(0, 3, 1, 2).float()
        if self.affine:
            made = random_affine(
                made,
                seed=seed,
                index=index,
                view=view,
                draws=(_AFFINE[0], _AFFINE[1], _AFFINE[2], _AFFINE[3]),
                rotate=self.rotate,
                shift=self.shift,
                scale=self.scale,
            )
        if self.blur:
            made = random_blur(made, seed=seed, index=index, view=view, draw=_BLUR, most=self.blur)
        if self.fade != 1:
            drawn = uniform(seed, index, view, _FADE)[:, None, None, None]
            made = made * self.fade**drawn
        white = 255.0 if images.dtype == torch.uint8 else 1.0
        return made.permute(0, 2, 3, 1).contiguous() / white

    def _cut(self, images: Tensor, seed: int, index: Tensor, view: int) -> Tensor:
        """Zero (the mean, once normalised) a square around a random pixel, clipped at the edge."""
        _, _, height, width = images.shape
        down, right = uniforms(seed, index, view, (_CUT_ROW, _CUT_COLUMN))[:, :, None]
        row = (down * height).long() - self.cutout // 2
        column = (right * width).long() - self.cutout // 2
        rows = torch.arange(height, device=images.device) - row
        columns = torch.arange(width, device=images.device) - column
        hit = ((rows >= 0) & (rows < self.cutout))[:, :, None]
        hit = hit & ((columns >= 0) & (columns < self.cutout))[:, None, :]
        return images.masked_fill_(hit[:, None], 0.0)  # a copy would lose the layout
