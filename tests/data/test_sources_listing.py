"""A .csv or .tsv of paths and labels."""

import os

import pytest
from PIL import Image

from stillhouse.data.load import load
from stillhouse.errors import DataError


@pytest.fixture
def listed(tmp_path):
    (tmp_path / "pictures").mkdir()
    for row in range(6):
        Image.new("L", (3, 2), row).save(tmp_path / "pictures" / f"{row}.png")

    def write(text, name="set.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def rows(*lines, head="path,label", by=","):
    return "\n".join([head, *lines]).replace(",", by) + "\n"


def images(table):
    return table.images[:, 0, 0, 0].tolist()


def test_paths_beside_labels(listed, tmp_path):
    text = rows("pictures/3.png,cat", f"{tmp_path}/pictures/1.png,dog")
    for path in (listed(text), listed(text.replace(",", "\t"), "set.tsv")):
        splits = load(path, validation=0, test=0)
        assert splits.classes == ("cat", "dog")
        assert images(splits.train) == [3, 1]


def test_named_columns_and_splits(listed):
    lines = [f"x,pictures/{row}.png,{row % 2},{split}" for row, split in
             enumerate(["train", "train", "val", "val", "test", "test"])]  # fmt: skip
    path = listed(rows(*lines, head="id,where,kind,split"))
    splits = load(path, image="where", label="kind")
    assert [images(part) for part in (splits.train, splits.validation, splits.test)] == [
        [0, 1], [2, 3], [4, 5],
    ]  # fmt: skip


REFUSED = {
    "no path": (rows("a,0", head="id,label"), r"has no column image, path, .*data.image"),
    "no label": (rows("a,0", head="path,y"), r"has no column label, .*columns are: path, y"),
    "empty label": (rows("pictures/0.png,a", "pictures/1.png,"), "line 3: the label is empty"),
    "empty path": (rows("pictures/0.png,0", ",1"), "line 3: the image is empty"),
    "fraction": (rows("pictures/0.png,0.5"), "labels are float64"),
    "below 0": (rows("pictures/0.png,0", "pictures/1.png,-1"), "line 3: the label of train is -1"),
    "no file": (rows("pictures/0.png,0", "pictures/9.png,1"), r"9\.png cannot be read \(No such"),
    "a folder": (rows("pictures/0.png,0", "pictures,1"), r"pictures cannot be read \("),
    "a pipe": (rows("pictures/0.png,0", "pipe.png,1"), r"pipe\.png cannot be read \(it is no reg"),
    "a split": (rows("pictures/0.png,0,x", head="path,label,split"), "line 2: the split is 'x'"),
    "two labels": (
        rows("pictures/0.png,0", "pictures/1.png,1", "pictures/0.png,1"),
        r"line 4: pictures/0\.png has the label 1, and in line 2 the label 0; leave out",
    ),
    "a column twice": (rows("pictures/0.png,0,1", head="path,label,label"), "'label' twice"),
    "nothing": ("", "cannot be read as a table"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case, listed, tmp_path):
    text, said = REFUSED[case]
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=said):
        load(listed(text), validation=0, test=0)
