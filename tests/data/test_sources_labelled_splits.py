import re

import numpy as np
import pytest

from stillhouse.data.sources.labelled_splits import natural, number_labels
from stillhouse.errors import DataError


def where(split, row):
    return f"{split}.parquet, row {row}"


def test_text_is_numbered_in_natural_order():
    names = [f"s{i}" for i in range(1, 41)]
    shuffled = np.random.default_rng(0).permutation(names)
    found = number_labels({"train": shuffled, "test": np.array(["s10"])}, where)
    assert found.classes == tuple(names)
    assert [names[n] for n in found.labels["train"].tolist()] == shuffled.tolist()
    assert found.labels["test"].tolist() == [9]
    assert found.open_only is None


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "9", "a", "1"], ["1", "9", "10", "a"]),
        (["s01", "s1", "s"], ["s", "s01", "s1"]),
        (["a2b10", "a2b9", "a10"], ["a2b9", "a2b10", "a10"]),
    ],
)
def test_natural_order(names, ordered):
    assert sorted(names, key=natural) == ordered


def test_numbers_are_kept_with_the_names_of_the_source():
    found = number_labels({"train": np.array([1, 0], dtype=np.uint8)}, where, ["a", "b"])
    assert found.labels["train"].tolist() == [1, 0]
    assert found.classes == ("a", "b")
    assert number_labels({"train": np.array([1, 0])}, where).classes == ("0", "1")


@pytest.mark.parametrize(
    ("raw", "names", "message"),
    [
        ({"train": [0, 1], "test": []}, None, "test has no rows"),
        ({"train": [0, -1]}, None, "train.parquet, row 1: the label of train is -1"),
        (
            {"train": np.array([0, 2**64 - 1], dtype=np.uint64)},
            None,
            "train.parquet, row 1: the label of train is 1844",
        ),
        ({"train": [0.0, 1.0]}, None, "labels are float64 [2]"),
        ({"train": [[0, 1], [1, 0]]}, None, "argmax(1) for one-hot"),
        ({"train": [True, False]}, None, "labels are bool"),
        ({"train": [0, 1, 3, 5]}, None, "no row of class 2, 4; labels must be 0 to C-1"),
        ({"train": [1, 2, 3]}, None, "no row of class 0;"),
        ({"train": [0, 1, 10**9]}, None, "class 2, 3, 4, 5, 6, 7, 8, 9 and 999999990 more"),
        ({"train": [0, 2]}, ["a", "b", "c"], "no row of class 1 ('b')"),
        ({"train": [0, 1, 2]}, ["a", "b"], "train.parquet, row 2: train has the label 2; there"),
        ({"train": [0, 1], "test": [1, 4]}, None, "test.parquet, row 1: test has the label 4"),
        ({"train": ["a", "b"], "test": ["a", "bb"]}, None, "'bb', which train does not have"),
        ({"train": ["a", "b"], "test": [0, 1]}, None, "text in train but not in test"),
    ],
)
def test_refuses(raw, names, message):
    arrays = {
        split: np.array(values, dtype=np.uint64 if 2**64 - 1 in values else None)
        for split, values in raw.items()
    }

    def of_one_set():
        raise DataError(number_labels(arrays, where, names).open_only)

    with pytest.raises(DataError, match=re.escape(message)):
        of_one_set()


@pytest.mark.parametrize(
    ("train", "test", "names", "labels", "classes"),
    [
        ([5, 10**9], [7, 5], None, ([0, 2], [1, 0]), ("5", "7", str(10**9))),
        (["s2", "s10"], ["s1", "s2"], None, ([0, 1], [2, 0]), ("s2", "s10", "s1")),
        ([0, 2], [1, 1], ["a", "b", "c"], ([0, 2], [1, 1]), ("a", "b", "c")),
    ],
)
def test_people_of_one_split_are_numbered(train, test, names, labels, classes):
    found = number_labels({"train": np.array(train), "test": np.array(test)}, where, names)
    assert tuple(each.tolist() for each in found.labels.values()) == labels
    assert found.classes == classes
    assert found.open_only is not None


def test_text_among_numbers_names_the_row():
    with pytest.raises(DataError, match="row 1: the label 'x' is not a whole number"):
        number_labels({"train": np.array([0, "x"], dtype=object)}, where)
