import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import IterableDataset, TensorDataset

from stillhouse.data.sources.torch_datasets import read_datasets
from stillhouse.errors import DataError

GREY = torch.zeros(1, 2, 2)


class Counting:
    """As torchvision's: `targets` and `classes` are known, images are read one by one."""

    def __init__(self, labels, targets=None, classes=("a", "b")):
        self.labels, self.classes, self.read = labels, classes, []
        if targets is not None:
            self.targets = targets

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        self.read.append(row)
        return Image.new("L", (2, 2), row), self.labels[row]


def test_tensor_dataset():
    images = torch.rand(4, 1, 2, 2)
    found = read_datasets((TensorDataset(images, torch.tensor([0, 1, 1, 2])),))
    assert list(found.parts) == ["train"]
    table = found.parts["train"]
    assert table.labels.tolist() == [0, 1, 1, 2]
    assert torch.equal(table.read(2), images[2])
    assert (found.name, found.classes) == ("TensorDataset", ("0", "1", "2"))


def test_two_and_three_datasets():
    parts = [Counting([0, 1, row]) for row in (0, 1, 1)]
    assert list(read_datasets(parts[:2]).parts) == ["train", "test"]
    found = read_datasets(parts)
    assert list(found.parts) == ["train", "validation", "test"]
    assert found.parts["validation"].labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("targets", [[0, 1, 0, 1], torch.tensor([0, 1, 0, 1])])
def test_targets_spare_the_reading(targets):
    dataset = Counting([0, 1, 0, 1], targets)
    found = read_datasets([dataset])
    assert set(dataset.read) == {0, 3}
    assert found.parts["train"].labels.tolist() == [0, 1, 0, 1]
    assert found.classes == ("a", "b")


@pytest.mark.parametrize("targets", [[1, 0, 1, 0], [0, 1], "0101"])
def test_targets_that_do_not_agree_are_not_believed(targets):
    dataset = Counting([0, 1, 0, 1], targets)
    assert read_datasets([dataset]).parts["train"].labels.tolist() == [0, 1, 0, 1]


def test_labels_of_every_kind_of_whole_number_and_names():
    kinds = [(GREY, 0), (GREY, np.int32(1)), (GREY, torch.tensor(2)), (GREY, np.array([3]))]
    assert read_datasets([kinds]).parts["train"].labels.tolist() == [0, 1, 2, 3]
    assert read_datasets([[(GREY, "b"), (GREY, "a")]]).classes == ("a", "b")


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(GREY, 0)])


class Broken(Counting):
    def __getitem__(self, row):
        if row == 2:
            raise KeyError("lost")
        return super().__getitem__(row)


REFUSED = {
    "stream": (Stream(), "is a Stream; wanted is a map-style dataset"),
    "number": (5, "is a int; wanted is a map-style dataset"),
    "no rows": ([], "train dataset has no rows"),
    "no pair": ([GREY, GREY], "row 0 of the train dataset is a Tensor [1, 2, 2]; wanted is (image"),
    "dict": ([{"image": GREY, "label": 0}], "is a dict of 2; wanted is (image, label)"),
    "triple": ([(GREY, 0, 0)], "is a tuple of 3"),
    "image": ([("a.png", 0)], "the image is a str ('a.png'); wanted is a PIL image"),
    "batch": ([(torch.zeros(4, 1, 2, 2), 0)], "the image is a Tensor [4, 1, 2, 2]"),
    "float": ([(GREY, 0.5)], "the label is a float (0.5); wanted is a whole number"),
    "one-hot": ([(GREY, torch.eye(3)[0])], "the label is a Tensor [3]"),
    "broken": (Broken([0, 1, 0, 1]), "row 2 of the train dataset cannot be read: KeyError"),
    "mixed": ([(GREY, 0), (GREY, "a")], "row 1 of the train dataset: the label 'a' is not a whole"),
    "gap": ([(GREY, 0), (GREY, 2)], "no row of class 1;"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case):
    dataset, message = REFUSED[case]
    with pytest.raises(DataError, match=re.escape(message)):
        read_datasets((dataset,))


def test_four_datasets():
    with pytest.raises(DataError, match="4 datasets were given"):
        read_datasets([Counting([0, 1])] * 4)


def test_named_class_without_rows():
    with pytest.raises(DataError, match=r"no row of class 2 \('c'\)"):
        read_datasets([Counting([0, 1], classes=["a", "b", "c"])])
