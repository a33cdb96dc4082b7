"""Classes that are held out of all splits, against counts by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from people import folder, images, who_is

from stillhouse.data.held_out import chosen_classes
from stillhouse.data.load import load
from stillhouse.data.split_tables import marked
from stillhouse.errors import DataError

NAMES = ("ant", "bee", "cat", "dog", "eel")


@pytest.fixture
def animals(tmp_path):
    """Of each class 4 images in train and 2 in test; each holds its number as a grey."""
    folder(tmp_path, dict.fromkeys(NAMES, 4), "train")
    return folder(tmp_path, dict.fromkeys(NAMES, 2), "test", start=20)


def test_unseen_classes_are_in_no_other_table(animals):
    splits = load(animals, unseen=["dog", "bee"], validation=0.25)
    assert splits.classes == ("ant", "cat", "eel")
    assert splits.people == ("ant", "cat", "eel", "bee", "dog")
    assert who_is(splits, "unseen") == {"bee": 6, "dog": 6}  # those of train and of test
    assert who_is(splits, "train") == dict.fromkeys(splits.classes, 3)
    assert who_is(splits, "validation") == dict.fromkeys(splits.classes, 1)
    assert who_is(splits, "test") == dict.fromkeys(splits.classes, 2)
    assert images(splits.unseen) == [5, 6, 7, 8, 13, 14, 15, 16, 23, 24, 27, 28]
    assert not splits.open_set
    pairs = splits.pairs["unseen"]
    assert (len(pairs), int(pairs.same.sum())) == (66, 30)
    assert splits.notes == (
        "unseen: 2 of 5 classes ('bee', 'dog'), with 12 rows, are held out of train, validation "
        "and test",
    )
    assert splits.told == (
        "9 train, 3 validation, 6 test images of 3 classes, 12 of 2 unseen ones (66 pairs)"
    )


def test_who_is_unseen_is_a_function_of_the_split_seed(animals):
    held = [load(animals, unseen=2, split_seed=seed).people[3:] for seed in range(12)]
    assert held == [load(animals, unseen=0.4, split_seed=seed).people[3:] for seed in range(12)]
    assert len(set(held)) > 4
    keys = np.random.PCG64([7, 1]).random_raw(5)
    assert chosen_classes(NAMES, 2, 7) == sorted(np.argsort(keys)[:2].tolist())


def test_off_changes_nothing(animals):
    plain = load(animals, validation=0.25)
    off = load(animals, validation=0.25, unseen=0, min_per_class=1)
    assert off.fingerprint == plain.fingerprint
    assert (off.people, off.unseen, dict(off.pairs)) == (plain.classes, None, {})
    marks = {load(animals, validation=0.25, unseen=u).fingerprint for u in (2, ["ant", "bee"])}
    assert plain.fingerprint not in marks


def test_the_fingerprint_sees_images_of_unseen_classes_and_their_pairs(tmp_path):
    few = {"ant": 4, "bee": 4, "cat": 3, "dog": 3}
    first = load(folder(tmp_path / "a", few), unseen=["cat", "dog"], validation=0, test=0)
    folder(tmp_path / "b", few)
    folder(tmp_path / "b", {"dog": 1}, start=90)  # one of its images is another one
    second = load(tmp_path / "b", unseen=["cat", "dog"], validation=0, test=0)
    assert first.train.fingerprint() == second.train.fingerprint()
    assert first.fingerprint != second.fingerprint
    turned = replace(first.pairs["unseen"], first=first.pairs["unseen"].second)
    third = marked(replace(first, pairs={"unseen": turned}))
    assert third.fingerprint != marked(first).fingerprint == first.fingerprint


def test_a_limit_leaves_unseen_rows_alone(animals):
    splits = load(animals, unseen=2, validation=0, limit=6)
    assert [len(splits.train), len(splits.unseen)] == [6, 12]
    whole = splits.limited(None)
    assert [len(whole.train), len(whole.unseen)] == [12, 12]
    assert whole.fingerprint == load(animals, unseen=2, validation=0).fingerprint


def test_classes_with_few_rows_are_left_out_and_counted(tmp_path):
    path = folder(tmp_path, {"ant": 9, "bee": 8, "cat": 3, "dog": 2})
    splits = load(path, min_per_class=4, validation=0, test=0)
    assert splits.classes == ("ant", "bee")
    assert who_is(splits, "train") == {"ant": 9, "bee": 8}
    assert splits.notes == ("min_per_class 4: 2 of 4 classes, with 5 rows, are left out",)


def test_samples_that_are_read_one_by_one_are_held_out_too():
    samples = [(torch.full((1, 2, 2), row / 12), row // 3) for row in range(12)]
    splits = load(samples, unseen=["0", "2"], validation=0, test=0)
    assert splits.classes == ("1", "3")
    assert [float(splits.train.read(row)[0, 0, 0]) for row in (0, 3)] == [0.25, 0.75]
    assert [float(splits.unseen.read(row)[0, 0, 0]) for row in (0, 3)] == [0, 0.5]
    assert splits.unseen.labels.tolist() == [2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"unseen": 1},
            "unseen holds out 1 of 5 classes: images of different classes are compared",
        ),
        ({"unseen": 4}, "unseen holds out 4 of 5 classes"),
        ({"unseen": 5}, "unseen asks for 5 classes; there are 5, ask for 0 to 4"),
        ({"unseen": 0.05}, "unseen asks for 0.05 of 5 classes, which is none"),
        ({"unseen": 1.5}, "unseen: 1.5 is neither a share in [0, 1) nor a number of classes"),
        ({"unseen": ["cats"]}, "unseen: there is no class 'cats'; nearest: cat"),
        ({"unseen": ["x", "y", "cat"]}, "there is no class 'x' (and 1 more)"),
        ({"unseen": []}, "unseen holds out 0 of 5 classes"),
        ({"unseen": 2, "split_seed": -1}, "the seed of a split is -1"),
        ({"min_per_class": 5}, "min_per_class 5 (data.min_per_class) leaves 0 of 5 classes"),
        ({"unseen": 2, "labelled": False}, "choose by class, and without labels there is none"),
        ({"pairs": "p.csv"}, "pairs (data.pairs) are tested by task: verification"),
    ],
)
def test_refuses(animals, asked, message):
    with pytest.raises(DataError, match=re.escape(message)):
        load(animals, **asked)


def test_unseen_classes_with_one_image_each_make_no_pair(tmp_path):
    path = folder(tmp_path, {"ant": 9, "bee": 8, "cat": 1, "dog": 1})
    with pytest.raises(DataError, match=r"unseen: .* of 2 images no person .class. has two"):
        load(path, unseen=["cat", "dog"], validation=0, test=0)
