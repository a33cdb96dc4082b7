"""A detector's folder: its weights and what its network, its images and its classes are."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from stillhouse.data.detection.table import fitted
from stillhouse.data.detection.views import GREY
from stillhouse.data.sources.files import formats, open_regular
from stillhouse.deploy.preprocessing import unread
from stillhouse.errors import DataError, ModelError, RunError
from stillhouse.models import build_model
from stillhouse.models.detectors.adapter import DETECTIONS, as_detector
from stillhouse.models.given import set_eval
from stillhouse.records.files import write_text
from stillhouse.records.tensors import load_state, save_tensors

CONFIG, WEIGHTS, KIND = "config.json", "model.safetensors", "detector"


@dataclass(frozen=True)
class Boxes:
    """What a detector finds in one image.

    Args:
        name: of the image: its path, or its number.
        boxes: left, top, right, bottom in pixels of the image, [N, 4], the surest first.
        labels: the class of each.
        scores: of each, in 0..1, [N].
    """

    name: str
    boxes: Tensor
    labels: tuple[str, ...]
    scores: Tensor


@dataclass(frozen=True)
class DetectorConfig:
    """config.json of a detector's folder.

    Args:
        model, arguments: how `build_model` makes its network; None where code of the user's did.
        classes: the names of the classes.
        frame: height and width of what it is shown.
        longest: the longer side of an image in it.
        about: what it was trained on, and how good it is.
    """

    model: str | None
    arguments: dict[str, Any]
    classes: tuple[str, ...]
    frame: tuple[int, int]
    longest: int | None
    about: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        text = json.dumps({"kind": KIND, **self.__dict__}, indent=2)
        write_text(folder / CONFIG, text + "\n")

    @classmethod
    def read(cls, folder: Path) -> "DetectorConfig":
        """Read it. Raises RunError where it is no detector's."""
        try:
            found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            if found.pop("kind", None) != KIND:
                raise ValueError("it is no detector")
            told = cls(**found)
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{folder / CONFIG} cannot be read: {error}") from error
        height, width = told.frame
        return cls(
            told.model,
            told.arguments,
            tuple(told.classes),
            (height, width),
            told.longest,
            told.about,
        )


def is_detector_folder(folder: Path) -> bool:
    """Whether a folder holds a detector."""
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def write_detector(folder: Path, config: DetectorConfig, module: nn.Module) -> None:
    """Write weights and config."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / WEIGHTS, dict(module.state_dict()), {})
    config.write(folder)


class DetectorPredictor:
    """A detector with its classes and the frame in which it sees images.

    Args:
        folder: what `write_detector` wrote.
        network: the network, where code of the user's made it.

    Raises:
        RunError: it is damaged.
        ModelError: its network cannot be built by name, and none is given.
    """

    def __init__(self, folder: Path, *, network: nn.Module | None = None) -> None:
        self.folder, self.config = folder, DetectorConfig.read(folder)
        self.classes = self.config.classes
        if network is None and self.config.model is None:
            raise ModelError(
                f"{folder}: its network was made by code of yours, which is not kept; load "
                f"{WEIGHTS} into it, or give it: DetectorPredictor(folder, network=...)"
            )
        made = network if network is not None else build_model(
            str(self.config.model),
            classes=len(self.classes) + 1,
            size=self.config.frame,
            arguments=self.config.arguments,
        )  # fmt: skip
        self.model = as_detector(made)
        self.model.load_state_dict(load_state(folder / WEIGHTS))
        set_eval(self.model)

    def predict(self, images: Any, *, least: float = 0.05, batch: int = 16) -> list[Boxes]:
        """What it finds in images.

        Args:
            images: paths, images of Pillow or uint8 arrays [H, W, 3]; or one of them.
            least: the score below which nothing is told.
            batch: how many are run at once.

        Raises:
            DataError: one of them cannot be read; with its name.
        """
        single = isinstance(images, str | Path | Image.Image | np.ndarray)
        given: Sequence[Any] = [images] if single else list(images)
        found: list[Boxes] = []
        for start in range(0, len(given), batch):
            part = given[start : start + batch]
            names = [_name(each, start + at) for at, each in enumerate(part)]
            opened = [opened_image(each, name) for each, name in zip(part, names, strict=True)]
            found += self.found(names, opened, least=least)
        return found

    def found(
        self, names: Sequence[str], images: Sequence[Image.Image], *, least: float
    ) -> list[Boxes]:
        """What it finds in a few images that are open: boxes of this score or more."""
        told = []
        for name, image, rows in zip(names, images, self.detections(images), strict=True):
            kept = rows[(rows[:, 0] >= 0) & (rows[:, 1] >= least)]
            sides = torch.tensor([*image.size, *image.size]).float()
            boxes = kept[:, 2:].clamp(min=0).minimum(sides)
            labels = tuple(self.classes[int(number)] for number in kept[:, 0])
            told.append(Boxes(name, boxes, labels, kept[:, 1]))
        return told

    def detections(self, images: Sequence[Image.Image]) -> Tensor:
        """All that it finds in images, in pixels of each, [B, 100, 6], class -1 fills up."""
        sizes = [self._size(image) for image in images]
        shown = [self._shown(image, size) for image, size in zip(images, sizes, strict=True)]
        with torch.inference_mode():
            rows: Tensor = self.model(torch.stack(shown))[DETECTIONS]
        scales = [
            [1.0, 1.0, *2 * (image.size[0] / width, image.size[1] / height)]
            for image, (height, width) in zip(images, sizes, strict=True)
        ]
        return rows.clone() * torch.tensor(scales)[:, None]

    def _size(self, image: Image.Image) -> tuple[int, int]:
        """Height and width at which an image is shown: as in training, smaller if it must fit."""
        height, width = fitted(image.size, self.config.longest)
        shrink = min(1.0, self.config.frame[0] / height, self.config.frame[1] / width)
        if shrink == 1.0:
            return height, width
        return max(1, int(height * shrink)), max(1, int(width * shrink))

    def _shown(self, image: Image.Image, size: tuple[int, int]) -> Tensor:
        height, width = size
        pixels = torch.from_numpy(np.array(image.resize((width, height), 2))).permute(2, 0, 1)
        framed = torch.full((3, *self.config.frame), float(GREY) / 255)
        framed[:, :height, :width] = pixels.float() / 255
        return framed


def _name(given: Any, number: int) -> str:
    return str(given) if isinstance(given, str | Path) else str(number)


def opened_image(given: Any, name: str) -> Image.Image:
    """An image, upright and in colour.

    Args:
        given: a file, what gives its bytes (``read_bytes``), an image of Pillow, or a uint8 array.
        name: how messages call it.

    Raises:
        DataError: it cannot be read.
    """
    try:
        if isinstance(given, np.ndarray):
            return Image.fromarray(given).convert("RGB")
        if isinstance(given, Image.Image):
            return ImageOps.exif_transpose(given).convert("RGB")
        named = isinstance(given, str | Path)
        if not named and not hasattr(given, "read_bytes"):
            raise TypeError(f"it is a {type(given).__name__}; give a path, an image or an array")
        with (
            open_regular(given) if named else BytesIO(given.read_bytes()) as file,
            Image.open(file, formats=formats()) as image,
        ):
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        gone = isinstance(error, FileNotFoundError)
        raise DataError(unread(name if gone else f"image {name}", error)) from error
