"""Public data sets by their names: a local folder, else the hub, else what to do."""

import os
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from stillhouse.data import load
from stillhouse.data.sources import known
from stillhouse.errors import DataError, WeightsError
from stillhouse.models.weight_files.read import weights_in
from stillhouse.records.places import by_place, located
from stillhouse.runs.directory import same_run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with no data set beside it."""
    (tmp_path / "work/inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work/inner")
    monkeypatch.delenv("STILLHOUSE_DATA", raising=False)
    return tmp_path


def archive(folder: Path, bright: int) -> None:
    """A data set of twenty images, all of one brightness."""
    folder.mkdir(parents=True)
    images = np.full((20, 8, 8), bright, dtype=np.uint8)
    for label in range(2):
        (folder / f"c{label}").mkdir()
        for row in range(10):
            Image.fromarray(images[row]).save(folder / f"c{label}/{row}.png")


def brightness(name: str) -> int:
    return int(load(name).train.images.max())


def test_a_name_is_found_here_then_in_the_variable_then_beside(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(here / "work/shared/data/mnist", 10)
    assert brightness("mnist") == 10
    archive(here / "second/mnist", 20)
    monkeypatch.setenv("STILLHOUSE_DATA", os.pathsep.join(["~nobody", str(here / "second")]))
    assert brightness("mnist") == 20
    archive(Path("mnist"), 30)
    assert brightness("mnist") == 30
    assert brightness("../shared/data/mnist") == 10
    with pytest.raises(DataError, match=r"there is no './fashion_mnist'"):
        load("./fashion_mnist")


def test_files_of_a_data_set_are_found_by_name_too(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_DATA", str(here))
    (here / "faces").mkdir()
    (here / "faces/model.safetensors").touch()
    assert weights_in("faces/model.safetensors") == here / "faces/model.safetensors"
    with pytest.raises(WeightsError, match=r"weights file 'faces/other\.pt' does not exist"):
        weights_in("faces/other.pt")


def test_a_path_and_a_name_are_the_same_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the folder lies; the form is that of runs whose recipes had the path."""
    archive(here / "work/shared/data/mnist", 10)
    by_path = {
        "data": {"source": "../shared/data/mnist"},
        "teacher": {"members": [{"weights": "a"}]},
    }
    named = {"data": {"source": "mnist"}, "teacher": {"members": [{"weights": "a"}]}}
    assert same_run(named) == same_run(by_path) == by_path
    archive(here / "second/mnist", 10)
    monkeypatch.setenv("STILLHOUSE_DATA", str(here / "second"))
    whole = {"source": str(here / "second/mnist")}
    assert by_place(whole) == by_place({"source": "mnist"}) == {"source": "../shared/data/mnist"}
    assert by_place({"source": "digits"}) == {"source": "digits"}
    assert located("photos") == Path("photos")


def test_a_public_set_is_had_from_the_hub(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def hub(name: str) -> datasets.DatasetDict:
        asked.append(name)
        images = [Image.fromarray(np.full((8, 8, 3), 9 * row, dtype=np.uint8)) for row in range(20)]
        features = datasets.Features(
            img=datasets.Image(),
            fine_label=datasets.ClassLabel(names=["apple", "bear"]),
            coarse_label=datasets.ClassLabel(names=["thing"]),
        )
        rows = {"img": images, "fine_label": [0, 1] * 10, "coarse_label": [0] * 20}
        made = datasets.Dataset.from_dict(rows, features=features)
        return datasets.DatasetDict(train=made, test=made)

    monkeypatch.setattr(datasets, "load_dataset", hub)
    found = load("cifar100")
    assert asked == ["uoft-cs/cifar100"]
    assert (found.name, found.classes, len(found.test)) == ("cifar100", ("apple", "bear"), 20)
    with pytest.raises(DataError, match=r"hf:uoft-cs/cifar100\) was not asked"):
        load("cifar100", allow_download=False)
    with pytest.raises(DataError, match="nearest: cifar100"):
        load("cifar_100")
    assert asked == ["uoft-cs/cifar100"]  # a name that is wrong asks no network


def test_texts_of_the_hub_are_read_and_its_splits_are_told(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = datasets.Dataset.from_dict({"text": ["good", "bad"] * 10, "label": [1, 0] * 10})
    hub = datasets.DatasetDict(train=made, validation=made, test=made)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: hub)
    found = load("sentence_polarity", texts=True)
    assert (len(found.train), len(found.validation)) == (20, 20)
    assert found.notes == (known.KNOWN["sentence_polarity"].note,)


@pytest.mark.parametrize("name", ["cifar10", "flowers17"])
def test_what_cannot_be_had_says_where_it_was_looked_for(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def unreachable(called: str) -> None:
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    monkeypatch.setattr(known, "_torchvision", unreachable)
    with pytest.raises(DataError) as raised:
        load(name)
    said = str(raised.value)
    assert f"a folder '{name}' in the working directory, STILLHOUSE_DATA (not set)" in said
    hub, other = "(hf:uoft-cs/cifar10) does not give it (no network)", "(datasets.CIFAR10) does not"
    assert (hub in said and other in said) == (name == "cifar10")
    assert "set STILLHOUSE_DATA to the folder around it" in said
    assert "\n" not in said
