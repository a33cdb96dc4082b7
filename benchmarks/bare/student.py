"""A trained student with its test images as files, and the answers of its files beside its own."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stillhouse.data.load import Splits
from stillhouse.data.tables import ImageTable, images_of
from stillhouse.deploy.predictor import Predictor
from stillhouse.verification.curve import curve
from stillhouse.verification.figures import tar_name
from stillhouse.verification.pairs import Pairs, pair_cosines
from stillhouse.verification.rates import tar_at_far

FAR, BATCH = 0.01, 64


@dataclass(frozen=True)
class Told:
    """What one way of using a student says of all test images.

    Args:
        outputs: logits or embeddings, [N, D].
        installed: of the environment, name to version.
        size: bytes of the file.
    """

    outputs: Tensor
    installed: dict[str, str]
    size: int


@dataclass
class Student:
    """A trained student with its test images as files.

    Args:
        run: of the training.
        splits: the data it was tested on.
        folder: for its files.
    """

    run: Path
    splits: Splits
    folder: Path
    forms: dict[str, Told] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.predictor = Predictor(self.run)
        self.images = written(self.splits, self.folder / "images")
        self.home = self.folder / "home"
        shutil.copytree(self.run / "student", self.home / "student")

    @property
    def classifies(self) -> bool:
        """Whether it gives logits; else embeddings."""
        return self.predictor.config.output == "logits"

    @property
    def figure(self) -> str:
        """What is measured on the test set."""
        return "accuracy" if self.classifies else tar_name(FAR)

    def own(self) -> Tensor:
        """Its own outputs of all test images, where it was trained."""
        paths = [Path(each) for each in self.images]
        pixels = torch.stack([self.predictor.preprocess.of(each) for each in paths])
        return torch.cat([self.predictor.outputs(part) for part in pixels.split(BATCH)])


def written(splits: Splits, folder: Path) -> list[str]:
    """The test images as PNG files, which lose nothing; their names."""
    folder.mkdir()
    table, names = images_of(splits.test, "a bare environment"), []
    for row in range(len(table)):
        image = table.images[row].numpy() if isinstance(table, ImageTable) else table.read(row)
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        names.append(str(folder / f"{row:05d}.png"))
        image.save(names[-1])
    return names


def decided(student: Student, outputs: Tensor) -> tuple[np.ndarray, float]:
    """What is decided of each test row (its class) or pair (same or not); the test figure."""
    if student.classifies:
        classes = outputs.argmax(1)
        return classes.numpy(), float((classes == student.splits.test.labels).float().mean())
    pairs: Pairs = student.splits.pairs["test"]
    cosine = pair_cosines(outputs.numpy(), pairs)
    figure = tar_at_far(curve(cosine, pairs.same), FAR).tar
    return cosine >= student.predictor.config.threshold, float(figure)


def compared(student: Student, wanted: Tensor) -> list[dict[str, Any]]:
    """Each form beside the student, on all test rows."""
    own, _ = decided(student, wanted)
    rows = []
    for form, told in student.forms.items():
        mine, figure = decided(student, told.outputs)
        apart = (told.outputs - wanted).abs()
        rows.append({
            "form": form,
            "bytes": told.size,
            "decided": len(own),
            "same": int((mine == own).sum()),
            "largest_difference": float(apart.max()),
            "mean_difference": float(apart.mean()),
            "test": figure,
        })  # fmt: skip
    return rows
