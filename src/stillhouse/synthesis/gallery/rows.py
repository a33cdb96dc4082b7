"""The rows of a finished synthesis, file by file, each checked before it is used."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from stillhouse.data.sources.synthesis import (
    ASKED_FOR,
    BETA,
    IMAGE,
    LABEL,
    LOGITS,
    MANIFEST,
    ROWS,
    SECONDS,
    STEPS,
    TARGET,
    present,
    read_file,
    read_json,
)
from stillhouse.errors import DataError
from stillhouse.records.gallery import ClassBalance
from stillhouse.records.schema import first_problem


class Manifest(BaseModel):
    """What a gallery needs of synthesis.json."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    method: str
    settings: dict[str, Any]
    teacher: dict[str, str]
    classes: list[str]
    seed: int
    image_shape: tuple[int, int, int]
    count: int
    balance: ClassBalance
    fingerprint: str
    similarity: list[list[float]] | None = None


@dataclass(frozen=True, eq=False)
class Rows:
    """The first rows of a synthesis.

    Args:
        folder: its directory.
        manifest: of the whole set.
        count: how many rows are meant.
    """

    folder: Path
    manifest: Manifest
    count: int

    def files(self) -> Iterator[tuple[int, Path]]:
        """First row and path of each file that holds rows which are meant.

        Raises:
            DataError: rows are missing.
        """
        at = 0
        for (first, rows), path in present(self.folder, ROWS).items():
            if at >= self.count:
                return
            if first != at or rows < 1:
                break
            yield first, path
            at += rows
        if at < self.count:
            raise DataError(
                f"{self.folder} lacks the images from row {at} on, of {self.manifest.count}; run "
                "the same synthesis again, which makes only what is missing"
            )

    def parts(self) -> Iterator[dict[str, Tensor]]:
        """The tensors of each file, cut to the rows that are meant.

        Raises:
            DataError: a file is missing, damaged, or not as the manifest says.
        """
        with_targets: bool | None = None
        for first, path in self.files():
            held = _read(path)
            self._check(path, held)
            if with_targets not in (None, TARGET in held):
                raise DataError(f"{path} has targets and other files have none, or the other way")
            with_targets = TARGET in held
            left = self.count - first
            yield {key: value[:left] for key, value in held.items()}

    def images(self, numbers: Sequence[int]) -> Tensor:
        """Some images, in this order. Shapes: [n, C, H, W] float32."""
        found: dict[int, Tensor] = {}
        for first, path in self.files():
            inside = [row for row in numbers if first <= row < first + _count(path)]
            if inside:
                image = _read(path)[IMAGE]
                found |= {row: image[row - first].clone() for row in inside}
        if not found:
            return torch.empty(0, *self.manifest.image_shape)
        return torch.stack([found[row] for row in numbers]).float()

    def _check(self, path: Path, held: dict[str, Tensor]) -> None:
        count, classes = _count(path), len(self.manifest.classes)
        shapes = {
            IMAGE: (count, *self.manifest.image_shape),
            LOGITS: (count, classes),
            **dict.fromkeys((LABEL, ASKED_FOR, STEPS, SECONDS), (count,)),
        }
        if TARGET in held:
            shapes |= {TARGET: (count, classes), BETA: (count,)}
        for name, shape in shapes.items():
            found = tuple(held[name].shape) if name in held else None
            if found != shape:
                said = "nothing" if found is None else f"a tensor {list(found)}"
                raise DataError(f"{path} holds {said} under '{name}'; wanted is {list(shape)}")
        numbers = [held[name] for name in (LOGITS, IMAGE, TARGET) if name in held]
        numbers.append(held.get(BETA, numbers[0]).nan_to_num(0.0, posinf=math.inf))
        if not all(bool(torch.isfinite(values).all()) for values in numbers):
            raise DataError(f"{path} holds nan or inf; delete it and run the synthesis again")
        if TARGET in held and float(held[TARGET].min()) < 0:
            raise DataError(f"{path} has targets below 0; delete it and run the synthesis again")
        if int(held[ASKED_FOR].min()) < -1 or int(held[ASKED_FOR].max()) >= classes:
            raise DataError(f"{path} has asked classes outside 0..{classes - 1}")


def open_rows(folder: Path, count: int | None = None) -> Rows:
    """The first rows of a finished synthesis; all of them when no count is given.

    Raises:
        DataError: it is not finished, its manifest is damaged, or it has fewer rows.
    """
    if not (folder / MANIFEST).is_file():
        raise DataError(
            f"{folder} holds no finished synthesis (no {MANIFEST}); give the directory that "
            "'stillhouse synthesize ... -o DIR' filled, or run the same synthesis to its end"
        )
    found = read_json(folder / MANIFEST)
    try:
        manifest = Manifest.model_validate(found)
    except ValidationError as error:
        raise DataError(f"{folder / MANIFEST} is damaged ({first_problem(error)})") from None
    balance = manifest.balance
    lengths = {len(each) for each in (balance.given, balance.asked) if each is not None}
    if lengths != {len(manifest.classes)}:
        raise DataError(
            f"{folder / MANIFEST} is damaged: {len(manifest.classes)} classes, and the balance has "
            f"{', '.join(str(number) for number in sorted(lengths))}"
        )
    meant = manifest.count if count is None else count
    if not 1 <= meant <= manifest.count:
        raise DataError(
            f"{folder} holds {manifest.count} images and the first {meant} are asked for; give a "
            f"count from 1 to {manifest.count}"
        )
    return Rows(folder, manifest, meant)


def _count(path: Path) -> int:
    return int(path.name.split("-")[2])


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError

    try:
        return read_file(path)
    except SafetensorError as error:
        raise DataError(f"{path} is damaged ({error}); delete it and make it again") from None
