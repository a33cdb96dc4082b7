"""What of samples a job finds out before anything is trained, and what it does to them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from stillhouse.data.tables import ImageTable, SampleTable
from stillhouse.errors import DataError, RecipeError
from stillhouse.recipes.data import DataSection, TeacherDataSection
from stillhouse.runs.job.data import open_data
from stillhouse.runs.run import _settled


def section(**more):
    return DataSection(source="own", **{"test": 0, "validation": 0, "workers": 0, **more})


def floats(count=8):
    made = torch.Generator().manual_seed(0)
    return [(torch.randn(3, 6, 6, generator=made), row % 2) for row in range(count)]


def test_augment_is_applied_to_floats(platform):
    data = open_data(section(augment=["flip"]), 8, platform, source=floats())
    (batch,) = data.train(0).epoch(0)
    flipped = 0
    for image, row in zip(batch["batch.image"], batch["batch.index"], strict=True):
        given = data.splits.train.read(int(row))
        assert torch.equal(image, given) or torch.equal(image, given.flip(-1))
        flipped += torch.equal(image, given.flip(-1))
    assert 0 < flipped < 8
    (plain,) = data._plain(data.splits.train).once()
    assert torch.equal(plain["batch.image"], torch.stack([image for image, _ in floats()]))
    cropped = open_data(section(augment=["crop"]), 8, platform, source=floats())
    (batch,) = cropped.train(0).epoch(0)
    image = batch["batch.image"][0]
    padded = torch.nn.functional.pad(
        cropped.splits.train.read(int(batch["batch.index"][0])), (4, 4, 4, 4)
    )
    places = [padded[:, y : y + 6, x : x + 6] for y in range(9) for x in range(9)]
    assert any(torch.equal(image, place) for place in places), "what is padded is 0"


def test_what_is_written_down_is_what_is_done(recipe_of, platform):
    for asked, flip in ((["flip"], True), ("auto", False)):
        data = open_data(section(augment=asked), 8, platform, source=floats())
        assert _settled(recipe_of(asked), data).data.augment.flip is flip
        assert data.augment.flip is flip


@pytest.mark.parametrize(
    ("channels", "floats_", "asked", "said"),
    [
        (1, False, ["jitter"], "saturation, hue: the images are grey, which has none"),
        (
            3,
            True,
            ["trivial"],
            "trivial: these are for grey or RGB pixels, and the images are float",
        ),
        (4, False, ["randaugment"], "pixels with 4 channels"),
    ],
)
def test_colours_that_images_have_not_are_refused(channels, floats_, asked, said, platform):
    made = torch.zeros(8, channels, 6, 6, dtype=torch.float32 if floats_ else torch.uint8)
    made[::2] = 1
    source = torch.utils.data.TensorDataset(made, torch.arange(8) % 2)
    plain = open_data(section(augment="none"), 8, platform, source=source)
    with pytest.raises(RecipeError, match=said):
        plain.of_teacher(TeacherDataSection(augment=asked))
    with pytest.raises(RecipeError, match=said):
        open_data(section(augment=asked), 8, platform, source=source)
    open_data(section(augment=["resized_crop", "erase"]), 8, platform, source=source)


@pytest.fixture
def recipe_of():
    from stillhouse.recipes import make_recipe

    def made(augment):
        data = {"source": "own", "augment": augment}
        return make_recipe({"data": data, "student": "lenet5", "teacher": "lenet5"})

    return made


@pytest.mark.parametrize(("mode", "found"), [("L", (2.0, False)), ("RGB", (4.0, True))])
def test_auto_is_the_same_in_memory_from_disk_and_resized(
    mode, found, platform, tmp_path, monkeypatch
):
    for row in range(4):
        (tmp_path / str(row % 2)).mkdir(exist_ok=True)
        Image.new(mode, (30, 28)).save(tmp_path / str(row % 2) / f"{row}.png")

    def auto(**more):
        data = open_data(section(**more), 2, platform, source=tmp_path)
        return type(data.splits.train), data.augment

    memory, sized = auto(), auto(size=28)
    monkeypatch.setattr("stillhouse.data.sources.pictures.IN_MEMORY", 100)
    monkeypatch.setattr("stillhouse.data.image_operations.IN_MEMORY", 100)
    disk, sized_on_read = auto(), auto(size=28)
    assert [kind for kind, _ in (memory, sized)] == [ImageTable] * 2
    assert [kind for kind, _ in (disk, sized_on_read)] == [SampleTable] * 2
    for _, augment in (memory, sized, disk, sized_on_read):
        assert (augment.crop, augment.flip) == found
    own = [(Image.new(mode, (30, 28)), row % 2) for row in range(4)]
    assert not open_data(section(), 2, platform, source=own).augment.varies


def test_a_transform_takes_the_place_of_augment(platform):
    def as_floats(image):
        return torch.tensor(np.array(image)).float()

    given = {"source": floats(), "transform": as_floats, "eval_transform": as_floats}
    with pytest.raises(RecipeError, match=r"takes the place of augment \(crop, flip\)"):
        open_data(section(augment=["crop", "flip"]), 8, platform, **given)
    assert not open_data(section(), 8, platform, **given).augment.varies


WHITE = Image.new("L", (6, 6), 255)
REFUSED = {
    "whole numbers": [(np.full((6, 6), 7, np.int32), 0), (np.full((6, 6), 7, np.int32), 1)],
    "a late one": [(WHITE, 0), (WHITE, 1), (Image.new("I", (6, 6)), 1)],
    "floats beside pixels": [(np.zeros((6, 6), np.uint8), 0), (np.zeros((6, 6), np.float32), 1)],
    "channels": [(torch.zeros(1, 6, 6), 0), (torch.zeros(3, 6, 6), 1)],
    "nan": [(torch.zeros(1, 6, 6), 0), (torch.full((1, 6, 6), torch.nan), 1)],
    "sizes": [(WHITE, 0), (Image.new("L", (7, 6)), 1)],
}
SAID = {
    "whole numbers": "row 0 of the train dataset is int32, of which nothing says",
    "a late one": "row 2 of the train dataset: the image has mode I",
    "floats beside pixels": "row 0 .* and row 1 .* do not go together: pixels .* and floats",
    "channels": "do not go together: floats of 1 channel and floats of 3 channels",
    "nan": "row 1 of the train dataset holds nan or inf",
    "sizes": r"images differ in size \(row 0 .* is \[6, 6\], row 1 .* \[6, 7\]\).*data.size: N",
}


@pytest.mark.parametrize("case", REFUSED)
def test_images_that_cannot_be_shown_are_found_before_a_run(case, platform):
    with pytest.raises(DataError, match=SAID[case]):
        open_data(section(), 2, platform, source=REFUSED[case])


def test_a_transform_may_mend_them(platform):
    def as_grey(image):
        return torch.full((1, 2, 2), float(np.array(image).mean()))

    for case in ("whole numbers", "sizes"):
        data = open_data(section(), 2, platform, source=REFUSED[case], transform=as_grey,
                         eval_transform=as_grey)  # fmt: skip
        assert next(iter(data.train(0).epoch(0)))["batch.image"].shape == (2, 1, 2, 2)
    sized = open_data(section(size=4), 2, platform, source=REFUSED["sizes"])
    assert sized.image_shape == (1, 4, 4)


def test_images_too_many_for_memory_are_resized_as_they_are_read(platform, monkeypatch):
    drawn = np.random.default_rng(0)
    pictures = [Image.fromarray(drawn.integers(0, 256, (6, 8 + row % 2, 3), dtype=np.uint8))
                for row in range(8)]  # fmt: skip
    source = [(picture, row % 2) for row, picture in enumerate(pictures)]
    kept = open_data(section(size=4), 8, platform, source=source)
    monkeypatch.setattr("stillhouse.data.image_operations.IN_MEMORY", 100)
    read = open_data(section(size=4), 8, platform, source=source)
    same = replace(read.train(0), augment=kept.augment)
    for mine, theirs in zip(same.epoch(0), kept.train(0).epoch(0), strict=True):
        assert torch.equal(mine["batch.image"], theirs["batch.image"])
    other = open_data(section(size=5), 8, platform, source=source)
    assert other.splits.train.fingerprint() != read.splits.train.fingerprint()
