"""Augmentation of whole batches on their device: moved, recoloured, normalised, cut out."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.boxes import BOX_DRAWS, cut_out, erase
from stillhouse.data.framing import placed, random_resized, scaled
from stillhouse.data.image_operations import random_affine, random_blur
from stillhouse.data.mixing import Mixing
from stillhouse.data.policies import jitter, rand_augment, trivial_augment
from stillhouse.data.views import uniform
from stillhouse.errors import DataError
from stillhouse.functional.numerics import on_device

# Each random choice of a sample draws under its own number, so that one option never moves another.
_ROW, _COLUMN, _FLIP, _CUT_ROW, _CUT_COLUMN, *_AFFINE, _BLUR, _FADE = range(11)
_RESIZED = range(16, 16 + BOX_DRAWS)
_ERASE, _ERASED = 48, range(49, 49 + BOX_DRAWS)
_JITTER, _TRIVIAL, _RAND = range(80, 88), (88, 89, 90), 128  # the last: two for each operation


@dataclass(frozen=True)
class Augment:
    """What training images go through; evaluation cuts the middle, if anything, and normalises.

    Args:
        crop: pad by so many zero pixels, then cut the size that is shown at a random place (4: the
            CIFAR recipe of He et al., 2016). 0: none.
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
        resized_crop: cut a box of at least this share of the area, uniform up to the whole, and
            show it as large as all images (Szegedy et al., arXiv 1409.4842; 0.08 there). Where ten
            boxes do not fit, the largest in the middle. 0: none.
        aspect: width by height of that box is between 1 / aspect and aspect, uniform in the
            logarithm (4/3).
        brightness, contrast, saturation: multiply by up to 1 + so much and at least 1 - so much,
            in an order of each image's own (0.4 each: SimCLR for CIFAR-10, arXiv 2002.05709).
            0: none.
        hue: turn by up to so much of the circle of colours to either side (0.1 there). 0: none.
        randaugment: so many operations of RandAugment (2: Cubuk et al., arXiv 1909.13719). 0: none.
        magnitude: their strength, 0 to 30 (9 there).
        trivial: one operation of TrivialAugmentWide (Müller & Hutter, arXiv 2103.10158).
        erase: share of images of which a box of 2 to 33 % is set to the mean (Zhong et al., arXiv
            1708.04896; 0.5 there). 0: none.
        size: the side of what is shown, of images that are held larger. 0: as they are held.
        resize: to this shorter side the images are brought before the middle of them is cut, in
            evaluation and in training without ``resized_crop``, at a random place with ``crop``.
        mixup, cutmix: alpha of mixing with another row, as of `stillhouse.data.mixing.Mixing`,
            which whoever serves the rows does last of all. 0: none.

    Images are cropped and mirrored, then go through RandAugment or TrivialAugment, the jitter, what
    is fractional (turning to fading), normalisation, cutout and erasing. Turning, shifting and
    resizing fill with zero pixels, as the crop does.

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
    resized_crop: float = 0.0
    aspect: float = 4 / 3
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    randaugment: int = 0
    magnitude: int = 9
    trivial: bool = False
    erase: float = 0.0
    size: int = 0
    resize: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def affine(self) -> bool:
        """Whether images are turned, shifted or resized by fractions of a pixel."""
        return bool(self.rotate or self.shift or self.scale != 1)

    @property
    def floating(self) -> bool:
        """Whether new pixel values are made, not only places changed."""
        return self.affine or bool(self.blur) or self.fade != 1

    @property
    def jitter(self) -> tuple[float, float, float, float]:
        """Brightness, contrast, saturation, hue."""
        return (self.brightness, self.contrast, self.saturation, self.hue)

    @property
    def of_colours(self) -> list[str]:
        """What is asked of the values of pixels, which are bytes: grey or RGB."""
        names = ("brightness", "contrast", "saturation", "hue", "randaugment", "trivial")
        return [name for name in names if getattr(self, name)]

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
        placed = self.crop or self.flip or self.cutout or self.resized_crop or self.erase
        mixed = self.mixup or self.cutmix
        return bool(placed or self.of_colours or self.floating or mixed)

    @property
    def unmixed(self) -> "Augment":
        """The same without mixing."""
        return replace(self, mixup=0.0, cutmix=0.0)

    def mixing(self, rows: int) -> Mixing | None:
        """How the images of a table of so many rows are mixed; None where they are not.

        Raises:
            DataError: there is one row.
        """
        mixes = self.mixup or self.cutmix
        return Mixing(self.mixup, self.cutmix, rows) if mixes else None

    def __call__(self, images: Tensor) -> Tensor:
        """As evaluation sees them: the middle, normalised; floats are not divided by 255.

        Shapes:
            images: uint8 or float32 [B, H, W, C]; returns float32 [B, C, H, W] in channels_last
            layout, of ``size`` where there is one.
        """
        if self.size:
            images = scaled(images, side=self.resize, size=self.size)
        return self._normalised(images)

    def _normalised(self, images: Tensor) -> Tensor:
        white = 255 if images.dtype == torch.uint8 else 1
        scale = on_device([1 / (white * s) for s in self.std], images.device)
        shift = on_device([-m / s for m, s in zip(self.mean, self.std, strict=True)], images.device)
        return torch.addcmul(shift, images.float(), scale).permute(0, 3, 1, 2)

    def view(self, images: Tensor, *, seed: int, index: Tensor, view: int) -> Tensor:
        """The view of each image, a pure function of (seed, index, view), not mixed yet.

        Shapes:
            images: uint8 or float32 [B, H, W, C]; index: int64 [B]; returns float32 [B, C, H, W].

        Raises:
            DataError: colours of images that are no pixels are to be changed.
        """
        framed = self._framed(images, seed, index, view)
        made = self._remade(self._recoloured(framed, seed, index, view), seed, index, view)
        normal = self._normalised(made)
        if self.cutout:
            draws = (_CUT_ROW, _CUT_COLUMN)
            cut_out(normal, seed=seed, index=index, view=view, draws=draws, side=self.cutout)
        if self.erase:
            draws = (_ERASE, *_ERASED)
            erase(normal, seed=seed, index=index, view=view, draws=draws, share=self.erase)
        return normal

    def _framed(self, images: Tensor, seed: int, index: Tensor, view: int) -> Tensor:
        """What of them is shown, mirrored or not."""
        size = self.size or None
        if self.resized_crop:
            images = random_resized(
                images, seed=seed, index=index, view=view, draws=_RESIZED,
                least=self.resized_crop, aspect=self.aspect, size=size,
            )  # fmt: skip
        elif self.size:
            images = scaled(images, side=self.resize, size=None if self.crop else size)
        return placed(
            images, seed=seed, index=index, view=view, draws=(_FLIP, _ROW, _COLUMN),
            crop=self.crop, flip=self.flip, size=size,
        )  # fmt: skip

    def _recoloured(self, images: Tensor, seed: int, index: Tensor, view: int) -> Tensor:
        """RandAugment, TrivialAugment and jitter, on bytes."""
        asked = self.of_colours
        if not asked:
            return images
        if images.dtype != torch.uint8 or images.shape[3] not in (1, 3):
            raise DataError(
                f"augment: {', '.join(asked)} change the colours of grey or RGB pixels (uint8); "
                f"these images are {images.dtype} with {images.shape[3]} channels: leave it out, "
                "or give pixels"
            )
        if self.randaugment:
            draws = range(_RAND, _RAND + 2 * self.randaugment)
            images = rand_augment(
                images, seed=seed, index=index, view=view, draws=draws, magnitude=self.magnitude
            )
        if self.trivial:
            images = trivial_augment(images, seed=seed, index=index, view=view, draws=_TRIVIAL)
        if any(self.jitter):
            images = jitter(
                images, seed=seed, index=index, view=view, draws=_JITTER, most=self.jitter
            )
        return images

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
            # No power: torch's differs by a bit between the first rows of a batch and the last.
            made = made * torch.exp(drawn * math.log(self.fade))
        white = 255.0 if images.dtype == torch.uint8 else 1.0
        return made.permute(0, 2, 3, 1).contiguous() / white
