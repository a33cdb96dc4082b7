"""Operations on the pixel values of whole batches, each image with its own strength.

The formulas are those of torchvision on bytes, bit for bit (hue: but for one level in about
one pixel of a million). Sums are of whole numbers and every
step is rounded correctly, so an image comes out the same in any batch.

Shapes of all of them: images: uint8 [B, H, W, C], C 1 or 3; strength: float64 [B]; returns
uint8 [B, H, W, C].
"""

from collections.abc import Callable

import torch
from torch import Tensor

GREY = (0.2989, 0.587, 0.114)
"""Share of red, green and blue in the brightness of a pixel, as torchvision rounds ITU-R 601-2."""
LEVELS = 256
LEAST = 1 / 512
"""Below the smallest difference of two levels: what is divided by it is 0."""

Operation = Callable[[Tensor, Tensor], Tensor]


def grey(images: Tensor) -> Tensor:
    """How bright each pixel is: [B, H, W, 1] uint8, rounded down.

    >>> grey(torch.tensor([255, 0, 0], dtype=torch.uint8).reshape(1, 1, 1, 3)).item()
    76
    """
    if images.shape[-1] == 1:
        return images
    red, green, blue = _planes(images)
    return (GREY[0] * red + GREY[1] * green + GREY[2] * blue).to(torch.uint8)[..., None]


def _planes(images: Tensor) -> tuple[Tensor, ...]:
    """The channels as float32 [B, H, W], each in one piece: several times faster than strided."""
    return images.permute(3, 0, 1, 2).contiguous().float().unbind(0)


def _each(strength: Tensor) -> Tensor:
    """A number for each image, against its pixels."""
    return strength.float()[:, None, None, None]


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """``factor * images + (1 - factor) * other``, cut to 0..255 and rounded down."""
    mixed = images.float().mul_(_each(factor)).add_(_each(1 - factor) * other)
    return mixed.clamp_(0, LEVELS - 1).to(torch.uint8)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black: 0 is black, 1 the image.

    >>> brightness(torch.full((1, 1, 1, 1), 100, dtype=torch.uint8), torch.tensor([1.5])).item()
    150
    """
    return images.float().mul_(_each(factor)).clamp_(0, LEVELS - 1).to(torch.uint8)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean grey of the image: 0 is flat, 1 the image."""
    shades = grey(images)
    total = shades.flatten(1).sum(1, dtype=torch.int64).float()
    return _blend(images, (total / shades[0].numel())[:, None, None, None], factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image: 0 is grey, 1 the image; a grey image stays as it is."""
    return images if images.shape[-1] == 1 else _blend(images, grey(images).float(), factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image smoothed by (1 1 1; 1 5 1; 1 1 1) / 13: 1 is the image, 2 sharper.

    The edge is not smoothed; an image of fewer than 3 rows or columns stays as it is.
    """
    if min(images.shape[1:3]) < 3:
        return images
    whole = images.int()
    height, width = images.shape[1] - 2, images.shape[2] - 2
    total = 4 * whole[:, 1:-1, 1:-1]
    for down in range(3):
        for right in range(3):
            total = total + whole[:, down : down + height, right : right + width]
    smooth = images.float()
    # To the nearest: 13 is odd, so there are no ties.
    smooth[:, 1:-1, 1:-1] = ((2 * total + 13) // 26).float()
    return _blend(images, smooth, factor)


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by a part of the circle of colours, -0.5 to 0.5; grey stays as it is.

    >>> red = torch.tensor([255, 0, 0], dtype=torch.uint8).reshape(1, 1, 1, 3)
    >>> hue(red, torch.tensor([1 / 3])).flatten().tolist()  # green
    [0, 255, 0]
    """
    if images.shape[-1] == 1:
        return images
    red, green, blue = (plane / (LEVELS - 1) for plane in _planes(images))
    most = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    range_ = most - least
    part = range_ / most.clamp_min(LEAST)
    divisor = range_.clamp_min(LEAST)
    from_red, from_green, from_blue = ((most - one) / divisor for one in (red, green, blue))
    angle = torch.where(
        most == red,
        from_blue - from_green,
        torch.where(most == green, 2 + from_red - from_blue, 4 + from_green - from_red),
    )
    angle = angle / 6 + 1
    angle = angle - angle.floor() + turn.float()[:, None, None]
    angle = (angle - angle.floor()) * 6
    drop = most * part
    turned = []
    for first in (5, 3, 1):  # each channel falls and rises in another part of the circle
        at = angle + first
        at = at - (at / 6).floor() * 6
        turned.append(most - drop * torch.minimum(at, 4 - at).clamp_(0, 1))
    made = torch.stack(turned, -1) * (LEVELS - 1e-3)
    return made.to(torch.uint8)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep so many of the 8 bits of each value."""
    kept = LEVELS - 2 ** (8 - bits.long())
    return images & kept.to(torch.uint8)[:, None, None, None]


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert what is at least the threshold."""
    return torch.where(images >= _each(threshold), LEVELS - 1 - images, images)


def autocontrast(images: Tensor, _strength: Tensor) -> Tensor:
    """Stretch each channel of each image to 0..255; a flat one stays (no strength is needed)."""
    planes = images.permute(0, 3, 1, 2).flatten(2).contiguous()
    low, high = planes.amin(2).float(), planes.amax(2).float()
    flat = low == high
    scale = (LEVELS - 1) / torch.where(flat, 1.0, high - low)
    low, scale = torch.where(flat, 0.0, low), torch.where(flat, 1.0, scale)
    stretched = images.float().sub_(low[:, None, None]).mul_(scale[:, None, None])
    return stretched.clamp_(0, LEVELS - 1).to(torch.uint8)


def equalize(images: Tensor, _strength: Tensor) -> Tensor:
    """Make all values of each channel of each image about equally frequent (no strength).

    With histogram h, ``step = (sum(h) - h[largest value]) // 255`` and value v becomes
    ``(step // 2 + sum(h[:v])) // step``; where the step is 0 the channel stays as it is.
    """
    count, height, width, channels = images.shape
    planes = images.permute(0, 3, 1, 2).reshape(count * channels, height * width).long()
    first = torch.arange(count * channels, device=images.device)[:, None] * LEVELS
    places = (planes + first).flatten()
    histogram = torch.zeros(count * channels * LEVELS, dtype=torch.int64, device=images.device)
    histogram.scatter_add_(0, places, torch.ones_like(places))
    histogram = histogram.view(-1, LEVELS)
    top = histogram.gather(1, planes.amax(1, keepdim=True))
    step = (height * width - top) // (LEVELS - 1)
    below = histogram.cumsum(1) - histogram
    table = ((below + step // 2) // step.clamp_min(1)).clamp_(0, LEVELS - 1)
    table = torch.where(step == 0, torch.arange(LEVELS, device=images.device), table)
    made = table.flatten()[places].to(torch.uint8)
    return made.view(count, channels, height, width).permute(0, 2, 3, 1).contiguous()
