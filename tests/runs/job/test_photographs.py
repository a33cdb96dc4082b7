"""A folder of photographs: cut at the recipe's size, and two networks of their own resolution."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.data.tables import ImageTable
from stillhouse.errors import DataError, RecipeError, StillhouseError
from stillhouse.recipes import make_recipe
from stillhouse.recipes.data import DataSection
from stillhouse.runs.job.data import open_data
from stillhouse.runs.run import prepare


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty-eight pictures of two classes in several sizes, the shorter side at least 30."""
    drawn = np.random.default_rng(0)
    for row in range(48):
        split, label = "test" if row % 4 == 3 else "train", row % 2
        place = tmp_path / "photographs" / split / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        wide, high = 30 + row % 5, 30 + row % 7
        pixels = drawn.integers(0, 120, (high, wide, 3)) + 80 * label
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{row}.png")
    return tmp_path / "photographs"


def opened(folder: Path, platform, **more):
    wanted = {"source": str(folder), "validation": 4, "workers": 0, "augment": ["flip"], **more}
    return open_data(DataSection(**wanted), 4, platform)


def test_what_is_held_and_what_is_shown(folder: Path, platform) -> None:
    larger = opened(folder, platform, size=16, load_size=24)
    assert isinstance(larger.splits.train, ImageTable)
    assert larger.splits.train.images.shape[1:] == (24, 24, 3)
    assert larger.splits.stored_side == 30
    assert larger.image_shape == (3, 16, 16)
    for batches in (larger.train(0).epoch(0), larger.validation.once(), larger.test.once()):
        assert all(batch["batch.image"].shape[1:] == (3, 16, 16) for batch in batches)
    # What is off names nothing, and each side decides the images.
    plain = opened(folder, platform, size=24)
    assert plain.augment.identity().keys() == {"mean", "std", "crop", "flip", "cutout"}
    whole = opened(folder, platform, size=16, load_size=24, crop_pct=1)
    assert whole.augment.resize == 16
    assert larger.augment.resize == 18
    identities = [str(each.identity()) for each in (plain, larger, whole)]
    assert len(set(identities)) == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"load_size": 24}, "load_size 24 is how large images are held; say as size"),
        ({"size": 24, "load_size": 24}, r"24 of 27 pixels \(crop_pct 0.875\).*at least 27"),
        ({"size": 24, "crop_pct": 0.9}, "crop_pct is of load_size, which is not given"),
        ({"size": 24, "load_size": 32, "crop_pct": 1.2}, "crop_pct"),
    ],
)
def test_sides_that_do_not_fit_are_refused(asked: dict, said: str, folder: Path) -> None:
    recipe = {"data": {"source": str(folder), **asked}, "student": "lenet5", "teacher": "lenet5"}
    with pytest.raises(StillhouseError, match=said):
        make_recipe(recipe)


def test_what_cannot_be_held_larger_is_refused(folder: Path, platform) -> None:
    def as_floats(image):
        return torch.tensor(np.array(image)).permute(2, 0, 1).float()

    section = DataSection(source=str(folder), size=16, load_size=24)
    with pytest.raises(RecipeError, match=r"data\.load_size.*a transform cuts its own images"):
        open_data(section, 4, platform, transform=as_floats, eval_transform=as_floats)
    floats = [(torch.randn(3, 30, 30), row % 2) for row in range(20)]
    with pytest.raises(DataError, match="resizes pixels"):
        open_data(section, 4, platform, source=floats)
    with pytest.raises(RecipeError, match="crop is 20, and the images are 16 x 16"):
        opened(folder, platform, size=16, load_size=24, augment={"crop": 20})


class Watching(nn.Module):
    """A network that remembers what it saw."""

    seen: ClassVar[dict[str, list[Tensor]]] = {}

    def __init__(self, who: str, side: int) -> None:
        super().__init__()
        self.who = who
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.fc = nn.Linear(4, 2)

    def forward(self, image: Tensor) -> Tensor:
        Watching.seen.setdefault(self.who, []).append(image.detach().clone())
        logits: Tensor = self.fc(self.conv(image).relu().mean((2, 3)))
        return logits


def distil(folder: Path, out: str, **settings):
    options = {"size": 24, "load_size": 28, "validation": 4, "workers": 0,
               "augment": ["resized_crop", "flip"]}  # fmt: skip
    return sh.distill(
        data={"source": folder, **options}, out=folder.parent / out, epochs=1, batch=8, seeds=1,
        precision="fp32", control=False, **settings,
    )  # fmt: skip


def test_a_teacher_of_higher_resolution_sees_pixels_that_are_there(folder: Path) -> None:
    """Cached or live the student ends in the same bits; it reads the teacher's image, smaller."""
    Watching.seen.clear()
    networks = {
        "student": {"model": lambda: Watching("student", 12), "input": {"size": 12}},
        "teacher": lambda: Watching("teacher", 24),
    }  # fmt: skip
    distil(folder, "live", cache="never", **networks)
    sides = {who: {image.shape[-1] for image in images} for who, images in Watching.seen.items()}
    assert sides == {"teacher": {24}, "student": {12}}
    # The last step of the student: its image is that of the teacher, made smaller by torch.
    pairs = [
        (mine, theirs)
        for theirs in Watching.seen["teacher"] for mine in Watching.seen["student"]
        if len(mine) == len(theirs) == 8
        and torch.allclose(nn.functional.interpolate(theirs, (12, 12), mode="bilinear",
                                                     antialias=True), mine, atol=1e-4)
    ]  # fmt: skip
    assert len(pairs) >= 4, "the steps of the epoch"
    distil(folder, "cached", cache="always", **networks)
    live, cached = (
        load_file(folder.parent / out / "student.safetensors") for out in ("live", "cached")
    )
    assert all(torch.equal(live[name], cached[name]) for name in live)


def test_enlarged_pixels_are_said_where_the_source_has_more(folder: Path) -> None:
    asked = {
        "data": {"source": str(folder), "size": 12, "validation": 4, "workers": 0},
        "teacher": {"model": "convnet-4-4", "input": {"size": 24}}, "student": "convnet-4-4",
        "batch": 8, "seeds": 1, "precision": "fp32",
    }  # fmt: skip
    (said,) = prepare(make_recipe(asked), folder.parent / "out").warned
    assert said.startswith("teacher: it reads images of 24 and is shown those of data.size 12")
    assert "data: {size: 24}" in said
    assert "input: {size: 12}" in said
    enough = asked | {"data": asked["data"] | {"size": 30}}
    assert not prepare(make_recipe(enough), folder.parent / "out").warned
