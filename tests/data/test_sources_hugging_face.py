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
    splits = load("org/name")
    assert hub == ["org/name"]
    assert splits.name == "org/name"
    assert splits.classes == ("fox", "ant")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [40, 4, 6]
    assert splits.test.images[:, 0, 0, 0].tolist() == list(range(60, 66))
    assert splits.validation.labels.tolist() == [0, 1, 0, 1]


def test_hub_is_asked_only_when_it_may_be(hub, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="not allowed; allow it or give a folder"):
        load("org/name", allow_download=False)
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "org" / "name" / name).mkdir(parents=True)
        for row in range(20):
            Image.new("L", (2, 2)).save(tmp_path / "org" / "name" / name / f"{row}.png")
    assert load("org/name").classes == ("a", "b")
    assert not hub


def test_name_that_the_hub_does_not_have(hub):
    with pytest.raises(DataError, match=r"does not give a data set of this name .*doesn't exist"):
        load("org/none")


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
