"""From an image of any size and kind to the pixels that a program takes."""

from pathlib import Path
from typing import Any

import torch
from pydantic import model_validator
from torch import Tensor

from stillhouse.data.image_operations import cut_to
from stillhouse.data.pixels import is_picture, plain_picture, to_pixels
from stillhouse.data.sources.files import open_regular
from stillhouse.data.sources.pictures import picture_of
from stillhouse.errors import DataError
from stillhouse.faults import first_line
from stillhouse.records.schema import Record

MODES = {1: "L", 3: "RGB"}
"""What images of Pillow become, by the number of channels."""


class OwnInput(Record):
    """The network's own form of the image, where it is not that of the data.

    Args:
        size: height and width to which the image is brought; None: as it is.
        pad: black pixels at the left, top, right and bottom, before that.
        channels: 3 of a grey image, 1 of a colour image; None: as they are.
        bgr: whether blue comes first.
        mean, std: by channel, of images in [0, 1].
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    bgr: bool = False
    pad: tuple[int, int, int, int] | None = None
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Inside(Record):
    """What the program does with pixels before the network sees them.

    Args:
        pixels: whether it takes pixels; else floats that somebody's own transform prepared.
        mean, std: of the data, by channel, of images in [0, 1].
        own: the network's own form, if it reads one.
        mirrored: whether what is given for the mirrored image is added.
    """

    pixels: bool = True
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    own: OwnInput | None = None
    mirrored: bool = False


class Preprocessing(Record):
    """What a program takes, and how an image becomes that.

    A program of ``pixels`` takes values 0 to 255, [B, channels, height, width], as bytes or floats,
    and does the rest itself (mean, std, the network's own form). An image of another size is
    scaled so that it covers height and width (bilinear with antialiasing, Pillow), and its middle
    is cut out; grey becomes colour, colour grey, and alpha is dropped. Where images were held
    larger than they are shown, it is brought to a square of ``held`` in this way, scaled to one of
    ``resize``, and of that the middle is cut out. A program that takes no
    ``pixels`` was trained behind somebody's own transform, which has to be applied first.

    Args:
        pixels: whether it takes pixels.
        channels, height, width: of what it takes.
        mean, std: by channel, of images in [0, 1] that the network itself sees.
        size: height and width that the network itself sees.
        held, resize: sides of squares before the middle is cut out; 0: there are none.
        interpolation: by which images are scaled.
        inside: what the program itself does.
    """

    pixels: bool
    channels: int
    height: int
    width: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    size: tuple[int, int]
    held: int = 0
    resize: int = 0
    interpolation: str = "bilinear"
    inside: Inside = Inside()

    @property
    def noun(self) -> str:
        """What a program takes that takes no pixels."""
        return "prepared images"

    @property
    def row(self) -> str:
        """What one row is called."""
        return "image"

    @model_validator(mode="after")
    def _possible(self) -> "Preprocessing":
        if min(self.channels, self.height, self.width, *self.size) < 1:
            raise ValueError("channels, height, width and size are 1 or more")
        if (self.held or self.resize) and (
            self.held < 1 or self.resize < max(self.height, self.width)
        ):
            raise ValueError("of images held larger, resize is at least the height and width")
        own = self.inside.own
        pairs = [(self.mean, self.std), (self.inside.mean, self.inside.std)]
        for mean, std in pairs if own is None else [*pairs, (own.mean, own.std)]:
            if len(mean) != len(std) or any(each <= 0 for each in std):
                raise ValueError("each mean has a std, which is above 0")
        return self

    def of(self, image: Any, where: str = "the image") -> Tensor:
        """The pixels of one image.

        Args:
            image: a path, an image of Pillow, an array [H, W] or [H, W, C], a tensor [C, H, W].
            where: what messages call it.

        Shapes:
            returns uint8 [channels, height, width].

        Raises:
            DataError: it cannot be read, or the program takes no pixels.

        >>> wanted = Preprocessing(pixels=True, channels=1, height=2, width=2, size=(2, 2))
        >>> wanted.of(torch.full((3, 4, 6), 9, dtype=torch.uint8)).tolist()
        [[[9, 9], [9, 9]]]
        """
        if not self.pixels:
            raise DataError(
                f"{where}: the network was trained behind a transform of your own, which is not "
                "part of this folder; apply it, and give the program what it makes "
                f"([B, {self.channels}, {self.height}, {self.width}] floats)"
            )
        if isinstance(image, str | Path):
            where, image = str(image), opened(Path(image))
        if not is_picture(image) and (mode := self._mode_of(image, where)) is not None:
            image = _as_picture(to_pixels(image, where), where, mode)
        if is_picture(image):
            image = plain_picture(image, where, MODES.get(self.channels))
        pixels = to_pixels(image, where)
        if pixels.dtype != torch.uint8:
            raise DataError(f"{where} holds floats, and the program takes pixels, 0 to 255 (uint8)")
        if pixels.shape[0] != self.channels:
            raise DataError(
                f"{where} has {pixels.shape[0]} channels, and the network takes {self.channels}"
            )
        frame = (self.held, self.held) if self.held else (self.height, self.width)
        if pixels.shape[1:] != frame:
            pixels = cut_to(pixels, frame, where).permute(2, 0, 1)
        return self._middle(pixels).contiguous() if self.held else pixels.contiguous()

    def _middle(self, held: Tensor) -> Tensor:
        """The middle of an image that is held larger than it is shown."""
        scaled = held
        if self.resize != self.held:
            scaled = cut_to(held, (self.resize, self.resize), "the image").permute(2, 0, 1)
        top, left = (round((self.resize - side) / 2) for side in (self.height, self.width))
        return scaled[:, top : top + self.height, left : left + self.width]

    def _mode_of(self, image: Any, where: str) -> str | None:
        """The mode that an array has to be brought to; None where it has the channels already."""
        found = to_pixels(image, where).shape[0]
        return MODES[found] if found != self.channels and found in MODES else None


def opened(path: Path) -> Any:
    """An image of a file, decoded and upright.

    Raises:
        DataError: it is not there, or no image, or a damaged one.
    """
    try:
        with open_regular(path) as data:
            return picture_of(data, str(path))
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise DataError(unread(path, error)) from error


def unread(path: Path | str, error: Exception) -> str:
    """Why a file was not read, without the numbers of the system.

    >>> unread("a.png", FileNotFoundError(2, "No such file or directory", "a.png"))
    'there is no file a.png'
    >>> unread("a.png", PermissionError(13, "Permission denied", "a.png"))
    'a.png cannot be read: Permission denied'
    """
    if isinstance(error, FileNotFoundError):
        return f"there is no file {path}"
    return f"{path} cannot be read: {getattr(error, 'strerror', None) or first_line(error)}"


def _as_picture(pixels: Tensor, where: str, mode: str) -> Any:
    from PIL import Image

    if pixels.dtype != torch.uint8:
        raise DataError(f"{where} holds floats, and the program takes pixels, 0 to 255 (uint8)")
    return Image.fromarray(pixels.permute(1, 2, 0).squeeze(2).contiguous().numpy(), mode)
