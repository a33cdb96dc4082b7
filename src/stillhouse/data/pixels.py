"""Pixels: the one rule by which whatever holds an image becomes what a network is shown.

The type decides, never the values of one image: two images of a set are always read alike.

- PIL ``1``, ``L``, ``LA``, ``La``: grey, uint8; alpha is dropped.
- PIL ``P``, ``PA``, ``RGB``, ``RGBA``, ``RGBa``, ``RGBX``, ``CMYK``, ``YCbCr``, ``HSV``, ``LAB``:
  RGB, uint8; alpha is dropped.
- PIL ``I``, ``I;16`` and ``F``: refused, since nothing says which value is white.
- An array [H, W] or [H, W, C] or a tensor [H, W] or [C, H, W] of uint8: pixels, 0 to 255, with the
  channels that it has (nothing says that a fourth is alpha); of bool: 0 and 255.
- The same of floats of any width: as the network is to see it, float32. Refused where a value is
  not finite, or where all are 0 or above and one is above 16: grey levels that were not scaled.
- The same of any other whole numbers: refused, since nothing says which value is white.
- Channels first in an array, or last in a tensor: refused, where 1 or 3 of them, or the square of
  the other two axes, show which they are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillhouse.errors import DataError

GREY = frozenset({"1", "L", "LA", "La"})
"""Modes of Pillow that become grey."""
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})
"""Modes of Pillow that become RGB."""
UNSCALED = 16.0
"""Images that were normalised lie within 16 standard deviations, grey levels 0..255 do not."""
CHANNELS = (1, 3)
"""Numbers of channels by which a channel axis in the wrong place is known."""


def is_picture(image: Any) -> bool:
    """Whether it is an image of Pillow; Pillow is not imported for it."""
    return hasattr(image, "getbands") and hasattr(image, "convert")


def is_image(image: Any) -> bool:
    """Whether it may hold one image: of Pillow, an array or a tensor of 2 or 3 axes.

    >>> is_image(torch.zeros(3, 4, 4)), is_image(torch.zeros(8, 3, 4, 4)), is_image("a.png")
    (True, False, False)
    """
    return is_picture(image) or (isinstance(image, Tensor | np.ndarray) and image.ndim in (2, 3))


def mode_of(image: Any, where: str) -> str:
    """``L`` or ``RGB``: what an image of Pillow becomes.

    Raises:
        DataError: its mode is of more than 8 bits, or none that has a place in RGB.
    """
    if image.mode in GREY:
        return "L"
    if image.mode in COLOUR:
        return "RGB"
    raise DataError(
        f"{where}: the image has mode {image.mode}, more than 8 bits per channel or none that is "
        "RGB; convert the images to 8 bits (there is no one right way to scale them)"
    )


def plain_picture(image: Any, where: str, mode: str | None = None) -> Any:
    """An image of Pillow in mode ``L`` or ``RGB``; palettes with alpha go by RGBA.

    >>> from PIL import Image
    >>> plain_picture(Image.new("P", (2, 2)), "row 0").mode
    'RGB'
    """
    own = mode_of(image, where)  # what is refused is refused whatever is wanted
    wanted = mode or own
    if image.mode == wanted:
        return image
    if wanted == "RGB" and ("transparency" in image.info or image.mode in ("PA", "RGBa")):
        image = image.convert("RGBA")
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode == "LAB":  # Pillow has no way from it to grey
        image = image.convert("RGB")
    return image.convert(wanted)


def to_pixels(image: Any, where: str = "the image") -> Tensor:
    """Pixels, uint8, or floats as a network sees them, by the rule of this module.

    Args:
        image: of Pillow, an array [H, W] or [H, W, C], or a tensor [H, W] or [C, H, W].
        where: what messages call it.

    Shapes:
        returns uint8 or float32 [C, H, W]; a view of what was given where nothing is converted.

    Raises:
        DataError: what the rule refuses, with what to do.

    >>> to_pixels(np.zeros((2, 3), dtype=np.uint8)).shape
    torch.Size([1, 2, 3])
    >>> to_pixels(np.array([[True, False]])).tolist()
    [[[255, 0]]]
    """
    return _values(_channels_first(image, where), where)


def channels_of(image: Any, where: str = "the image") -> int:
    """How many channels an image has, whatever its type.

    >>> channels_of(np.zeros((4, 5, 3), dtype=np.int32)), channels_of(torch.zeros(4, 5))
    (3, 1)
    """
    return len(_channels_first(image, where))


def _channels_first(image: Any, where: str) -> Tensor:
    """As a tensor [C, H, W] of whatever type."""
    if is_picture(image):
        image = np.array(plain_picture(image, where))
    if not isinstance(image, Tensor | np.ndarray) or image.ndim not in (2, 3):
        what = f"{type(image).__name__} {list(getattr(image, 'shape', []))}".removesuffix(" []")
        raise DataError(
            f"{where} is a {what}; wanted is a PIL image, an array [H, W, C] or a tensor [C, H, W]"
        )
    if 0 in image.shape:
        raise DataError(f"{where} has no pixels: its shape is {list(image.shape)}")
    is_tensor = isinstance(image, Tensor)
    pixels = image.detach() if isinstance(image, Tensor) else _as_tensor(image, where)
    if pixels.ndim == 2:
        return pixels[None]
    first, last = (_may_be_channels(pixels.shape, axis) for axis in (0, 2))
    if first != last and last == is_tensor:
        kind, fix = ("a tensor", "first: permute(2, 0, 1)") if is_tensor else (
            "an array", "last: transpose(1, 2, 0)")  # fmt: skip
        raise DataError(
            f"{where} is {kind} {list(pixels.shape)}; in {kind} the channels come {fix}"
        )
    return pixels if is_tensor else pixels.permute(2, 0, 1)


def channels_come_first(shape: Sequence[int]) -> bool:
    """Whether the shape of an image alone says that its channels are the first axis.

    >>> channels_come_first([4, 8, 8]), channels_come_first([8, 8, 4]), channels_come_first([8] * 3)
    (True, False, False)
    """
    return _may_be_channels(shape, 0) and not _may_be_channels(shape, 2)


def _may_be_channels(shape: Sequence[int], axis: int) -> bool:
    """Whether an outer axis has a usual number of channels, or the other two are a square."""
    if any(shape[each] in CHANNELS for each in (0, 2)):
        return shape[axis] in CHANNELS
    return shape[1] == shape[2 - axis] != shape[axis]


def _as_tensor(image: np.ndarray, where: str) -> Tensor:
    if image.dtype.kind not in "biuf":
        raise DataError(f"{where} is an array of {image.dtype}; wanted are numbers")
    if not image.dtype.isnative or any(step < 0 for step in image.strides):
        image = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))
    try:
        return torch.from_numpy(image if image.flags.writeable else image.copy())
    except TypeError:  # float128 and the like
        return torch.from_numpy(image.astype(np.float64))


def _values(pixels: Tensor, where: str) -> Tensor:
    if pixels.dtype == torch.uint8:
        return pixels
    if pixels.dtype == torch.bool:
        return pixels.to(torch.uint8) * 255
    if not pixels.is_floating_point():
        raise DataError(
            f"{where} is {str(pixels.dtype).removeprefix('torch.')}, of which nothing says which "
            "value is white; give uint8, 0 to 255 (astype('uint8') where the values lie there, "
            "after a division by 257 where they reach 65535)"
        )
    least, most = (float(value) for value in pixels.aminmax())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise DataError(f"{where} holds nan or inf; mend it or leave it out")
    if least >= 0 and most > UNSCALED:
        raise DataError(
            f"{where} holds floats from {least:.4g} to {most:.4g}, which look like grey levels "
            "that were not scaled; floats are shown to the network as they are: give uint8, or "
            "divide by 255 and normalise (a transform with its eval_transform may give any floats)"
        )
    return pixels.float()
