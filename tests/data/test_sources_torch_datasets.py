import re
from collections import namedtuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import IterableDataset, Subset, TensorDataset

from stillhouse.data.sources.find import find
from stillhouse.errors import DataError


def read_datasets(given, image=None, label=None):
    return find(tuple(given), image, label, False)


GREY = torch.zeros(1, 2, 2)


Sample = namedtuple("Sample", "kind picture other")


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


class StreamWithLength(Stream):
    def __len__(self):
        return 1


class Unlimited(Counting):
    def __len__(self):
        raise TypeError("no length")


class Broken(Counting):
    def __getitem__(self, row):
        if row == 2:
            raise KeyError("lost")
        return super().__getitem__(row)


REFUSED = {
    "stream": (Stream(), "is a Stream; wanted is a map-style dataset"),
    "stream with a length": (StreamWithLength(), "wanted is a map-style dataset"),
    "a length that fails": (Unlimited([0, 1]), "is a Unlimited; wanted is a map-style dataset"),
    "number": (5, "is a int; wanted is a map-style dataset"),
    "no rows": ([], "train dataset has no rows"),
    "no pair": ([GREY, GREY], "row 0 of the train dataset is a Tensor [1, 2, 2]; wanted is (image"),
    "keys": ([{"x": GREY, "y": 0}], "has the keys x, y and none of image, images, img"),
    "none": ([(GREY, None)], "the label is a NoneType (None)"),
    "below 0": ([(GREY, 0), (GREY, -1)], "row 1 of the train dataset: the label of train is -1"),
    "triple": (
        [(GREY, 0, 0)],
        "is a tuple of 3; wanted is (image, label): say which is which by image=",
    ),
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


def test_a_label_that_is_another_when_it_is_read_again_is_refused():
    dataset = Counting([0, 1, 0, 1])
    table = read_datasets([dataset]).parts["train"]
    assert table.read(1).size == (2, 2)
    dataset.labels = [0, 0, 0, 0]
    with pytest.raises(DataError, match=r"row 1 of the train dataset had the label 1 and has 0"):
        table.read(1)


PICTURE = Image.new("L", (2, 2))
WIDE = torch.zeros(1, 2, 3)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (GREY.repeat(3, 1, 1), "floats of 1 channel and floats of 3 channels"),
        (GREY.to(torch.uint8), "floats of 1 channel and pixels of 1 channel"),
        (PICTURE, "floats of 1 channel and images of Pillow"),
        (WIDE, r"row 0 of the train dataset is \[2, 2\], row 0 of the test dataset \[2, 3\]"),
    ],
)
def test_splits_go_together(test, said):
    train, held_out = [(GREY, 0), (GREY, 1)], [(test, 0), (test, 1)]
    dataset = read_datasets([train, held_out]).parts["train"].dataset
    assert re.search(said, dataset.unfit or dataset.differ)


def test_a_list_of_datasets_is_several():
    whole = Counting([0, 1, 0, 1, 0, 1])
    found = find([Subset(whole, range(4)), Subset(whole, [4, 5])], None, None, False)
    assert {split: len(table) for split, table in found.parts.items()} == {"train": 4, "test": 2}


def test_four_datasets():
    with pytest.raises(DataError, match="4 datasets were given"):
        read_datasets([Counting([0, 1])] * 4)


def test_named_class_without_rows():
    with pytest.raises(DataError, match=r"no row of class 2 \('c'\)"):
        read_datasets([Counting([0, 1], classes=["a", "b", "c"])])


class Merged(Counting):
    """Four targets, of which `__getitem__` makes two classes."""

    def __getitem__(self, row):
        image, label = super().__getitem__(row)
        return image, label // 2


def test_labels_are_what_getitem_gives():
    found = read_datasets([Merged([0, 1, 2, 3], [0, 1, 2, 3], ["a", "b", "c", "d"])])
    assert found.classes == ("0", "1")
    assert found.parts["train"].labels.tolist() == [0, 0, 1, 1]
    assert "labels that the train dataset gives are not its targets" in found.notes[0]
    half = Subset(Counting([0, 0, 1, 1], [1, 1, 0, 0]), [3, 0])
    assert read_datasets([half]).parts["train"].labels.tolist() == [1, 0]


KEYED = {
    "usual keys": ([{"img": GREY, "cls": 0}, {"img": GREY + 1, "cls": 1}], None, None),
    "named keys": ([{"x": GREY, "y": 0}, {"x": GREY + 1, "y": 1}], "x", "y"),
    "positions": ([(7, GREY, 0), (7, GREY + 1, 1)], 1, 2),
    "positions as text": ([(7, GREY, 0), (7, GREY + 1, 1)], "1", "2"),
    "turned round": ([(0, GREY), (1, GREY + 1)], 1, 0),
    "names of a tuple": ([Sample(0, GREY, 9), Sample(1, GREY + 1, 9)], "picture", "kind"),
}


@pytest.mark.parametrize("case", KEYED)
def test_mappings_and_longer_tuples(case):
    table = read_datasets([KEYED[case][0]], *KEYED[case][1:]).parts["train"]
    assert table.labels.tolist() == [0, 1]
    assert torch.equal(table.read(1), GREY + 1)


def test_positions_that_are_not_there():
    with pytest.raises(DataError, match=r"has no '5'; give a position: 0 to 2"):
        read_datasets([[(7, GREY, 0)]], 1, 5)
    with pytest.raises(DataError, match=r"has the keys x, y and no 'z'"):
        read_datasets([[{"x": GREY, "y": 0}]], "x", "z")


def test_grey_and_colour_pictures_become_colour():
    mixed = [(Image.new("L", (2, 2), 9), 0), (Image.new("P", (2, 2)), 1)]
    table = read_datasets([mixed]).parts["train"]
    assert np.asarray(table.read(0)).tolist() == [[[9, 9, 9]] * 2] * 2
    split = read_datasets([[*mixed[:1], (Image.new("1", (2, 2)), 1)], mixed]).parts
    assert split["train"].read(0).mode == "RGB"


def test_a_change_of_any_pixel_is_another_set():
    images = torch.zeros(5, 1, 2, 2)
    mark = read_datasets([TensorDataset(images, torch.arange(5) % 2)]).parts["train"].fingerprint()
    images[2, 0, 1, 1] = 0.5
    again = read_datasets([TensorDataset(images, torch.arange(5) % 2)]).parts["train"]
    assert again.fingerprint() != mark


def test_datasets_by_split_and_arrays():
    pairs = [(GREY, 0), (GREY, 1)]
    assert list(find({"train": pairs, "eval": pairs}, None, None, False).parts) == [
        "train", "validation",
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"wanted are 'train' and maybe validation and test"):
        find({"train": pairs, "more": pairs}, None, None, False)
    with pytest.raises(DataError, match=r"list\(zip\(images, labels\)\), or TensorDataset"):
        read_datasets((np.zeros((4, 2, 2), np.uint8), np.arange(4)))
