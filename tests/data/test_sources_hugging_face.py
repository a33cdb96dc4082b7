import socket

import datasets
import numpy as np
import pytest
from PIL import Image

from stillhouse.data.load import load
from stillhouse.errors import DataError


def pictures(count, first=0):
    return [Image.new("L", (3, 2), first + row) for row in range(count)]


def loaded(count=4, first=0, names=("fox", "ant")):
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))}
    )
    columns = {"image": pictures(count, first), "label": [row % 2 for row in range(count)]}
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.fixture
def hub(monkeypatch):
    """The hub without a network: what it gives, and what was asked of it."""
    asked = []

    def answer(name):
        asked.append(name)
        if name == "org/none":
            raise datasets.exceptions.DatasetNotFoundError("Dataset 'org/none' doesn't exist")
        return datasets.DatasetDict(
            train=loaded(40), val=loaded(4, 50), test=loaded(6, 60), extra=loaded(2, 90)
        )

    monkeypatch.setattr(datasets, "load_dataset", answer)
    return asked


def test_hub_name(hub):
    splits = load("hf:org/name")
    assert hub == ["org/name"]
    assert splits.name == "org/name"
    assert splits.classes == ("fox", "ant")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [40, 4, 6]
    assert splits.test.images[:, 0, 0, 0].tolist() == list(range(60, 66))
    assert splits.validation.labels.tolist() == [0, 1, 0, 1]


def test_hub_is_asked_only_when_it_may_be(hub, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="not allowed; allow it or give a folder"):
        load("hf:org/name", allow_download=False)
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "org" / "name" / name).mkdir(parents=True)
        for row in range(20):
            Image.new("L", (2, 2)).save(tmp_path / "org" / "name" / name / f"{row}.png")
    assert load("org/name").classes == ("a", "b")
    assert not hub


def test_name_that_the_hub_does_not_have(hub):
    with pytest.raises(DataError, match=r"does not give a data set .org/none. .*doesn't exist"):
        load("hf:org/none")


def test_dataset_in_hand_with_its_order_and_columns():
    dataset = loaded(40).select(range(39, -1, -1)).add_column("id", list(range(40)))
    splits = load(dataset, test=0, validation=0)
    assert splits.train.images[:, 0, 0, 0].tolist() == list(range(39, -1, -1))
    with pytest.raises(DataError, match="no column 'lable'"):
        load(dataset, label="lable")


def test_images_that_a_dataset_names_by_path(tmp_path):
    paths = []
    for row, image in enumerate(pictures(4)):
        paths.append(str(tmp_path / f"{row}.png"))
        image.save(paths[-1])
    dataset = datasets.Dataset.from_dict({"image": paths, "label": [0, 1, 0, 1]})
    dataset = dataset.cast_column("image", datasets.Image())
    splits = load(dataset, test=0, validation=0)
    assert np.array_equal(splits.train.images[:, 0, 0, 0], range(4))
    (tmp_path / "2.png").unlink()
    with pytest.raises(DataError, match=r"row 2: .*2\.png cannot be read"):
        load(dataset)


def test_no_train_and_streams():
    with pytest.raises(DataError, match="no split 'train'; it has: test"):
        load(datasets.DatasetDict(test=loaded()))
    with pytest.raises(DataError, match="is a stream"):
        load(loaded().to_iterable_dataset())


def test_pairs_of_datasets_and_other_names_of_splits():
    splits = load((loaded(40), loaded(6, 60)))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [36, 4, 6]
    assert splits.classes == ("fox", "ant")
    named = load(datasets.DatasetDict(train=loaded(40), eval=loaded(4), pseudo=loaded(2)), test=0)
    assert len(named.validation) == 4
    assert named.notes == ("DatasetDict: left out are the splits pseudo (2 rows)",)
    with pytest.raises(DataError, match="dev and another split are both validation"):
        load(datasets.DatasetDict(train=loaded(), eval=loaded(), dev=loaded()))


def test_a_transform_of_a_dataset_is_not_passed_over():
    dataset = loaded(4)
    dataset.set_transform(
        lambda rows: {
            "image": [np.full((2, 2), 200, np.uint8) for _ in rows["image"]],
            "label": [1 - label for label in rows["label"]],
        }
    )
    table = load(dataset, test=0, validation=0).train
    assert table.labels.tolist() == [1, 0, 1, 0]
    assert table.read(0).tolist() == [[200, 200], [200, 200]]


@pytest.mark.parametrize("several", [False, True])
def test_what_save_to_disk_wrote(tmp_path, several):
    saved = datasets.DatasetDict(train=loaded(), test=loaded(2, 9)) if several else loaded()
    saved.save_to_disk(str(tmp_path / "set"))
    splits = load(tmp_path / "set", validation=0, test=0)
    assert splits.classes == ("fox", "ant")
    assert splits.train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert len(splits.test) == (2 if several else 0)
    (next((tmp_path / "set").rglob("*.arrow"))).write_bytes(b"junk")
    with pytest.raises(DataError, match="cannot be read as a data set that was saved"):
        load(tmp_path / "set")


@pytest.mark.parametrize("name", ["org/none", "data/pets", "./data/pets", "a/b/c", "pets/"])
def test_a_path_that_is_not_there_asks_no_network(name, monkeypatch):
    def connect(*_):
        raise AssertionError("a network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(DataError, match=f"there is no '{name}'"):
        load(name)
    with pytest.raises(DataError, match="names no data set of the Hugging Face hub"):
        load("hf:a/b/c")
