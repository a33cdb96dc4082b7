"""A file of pairs: which rows it names, who is out of training, and every way to get it wrong."""

import re

import pytest
import torch
from people import csv, folder, images, who_is

from stillhouse.data.load import load
from stillhouse.errors import DataError

GOOD = (
    "ann_0001,ann_0002,1,1",
    "ann_0001,bob_0001,0,1",
    "cy_0001,cy_0002,1,2",
    "bob_0002,cy_0003,0,2",
)


@pytest.fixture
def people(tmp_path):
    return folder(tmp_path / "faces")


def test_everybody_in_a_pair_is_out_of_training(people):
    splits = load(people, open_set=True, pairs=csv(people / "p.csv", GOOD), validation=2)
    assert who_is(splits, "test") == {"ann": 2, "bob": 2, "cy": 3}
    assert not set(splits.classes) & {"ann", "bob", "cy"}
    assert len(splits.train) + len(splits.validation) == 10
    pairs = splits.pairs["test"]  # rows of the test table: ann 1 and 2, bob 1 and 2, cy 1 to 3
    assert images(splits.test) == [1, 2, 5, 6, 8, 9, 10]
    assert pairs.first.tolist() == [0, 0, 4, 3]
    assert pairs.second.tolist() == [1, 2, 5, 6]
    assert pairs.same.tolist() == [True, False, True, False]
    assert pairs.fold.tolist() == [1, 1, 2, 2]
    assert splits.notes[1] == (
        "4 pairs of folds 1, 2 (p.csv): 7 images of 3 people; 3 other images of these people are "
        "left out of training"
    )


def test_people_of_folds_that_are_not_asked_for_are_trained_on(people):
    more = ("di_0001,di_0002,1,3", "eve_0001,di_0001,0,3")
    path = csv(people / "p.csv", (*GOOD, *more))
    splits = load(people, open_set=True, pairs=path, folds=[1, 2], validation=0)
    assert set(splits.classes) == {"di", "eve", "flo", "gus", "hal", "ivy"}
    assert len(splits.pairs["test"]) == 4
    both = csv(people / "b.csv", (*GOOD, "ann_0003,ann_0004,1,2"))
    notes = load(people, open_set=True, pairs=both, validation=0).notes
    assert notes[2].startswith("2 of 3 people are in pairs of several folds")  # ann and bob
    assert splits.fingerprint != load(people, open_set=True, pairs=path, validation=0).fingerprint


@pytest.mark.parametrize(
    "lines",
    [
        ["ann/ann_0001.png,ann/ann_0002.png,1", "ann_0001,faces/../bob/bob_0001,0"],
        ["ann\\ann_0001,./ann_0002,1", "ann_0001.png, bob/bob_0001.png ,0"],
    ],
)
def test_names_may_leave_out_folders_and_suffix(people, lines):
    path = csv(people / "p.csv", lines, "first,second,same")
    splits = load(people, open_set=True, pairs=path, validation=0)
    assert images(splits.test) == [1, 2, 5]
    assert splits.pairs["test"].fold is None


def test_columns_in_any_order_tabs_and_a_mark_of_utf8(people):
    path = people / "p.tsv"
    lines = [
        "same\tsecond\tnote\tfirst",
        "1\tann_0002\tx\tann_0001",
        "0\tbob_0001\ty\tann_0001",
        "",
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    splits = load(people, open_set=True, pairs="p.tsv", validation=0)  # beside the data
    assert images(splits.test) == [1, 2, 5]


def test_an_accent_may_be_written_apart_from_its_letter(tmp_path):
    faces = folder(tmp_path / "faces", {"zoe\u0301": 2, "bob": 2, "cy": 2, "di": 2})
    lines = ["zo\u00e9_0001,zo\u00e9_0002,1", "bob_0001,zo\u00e9_0001,0"]
    path = csv(tmp_path / "p.csv", lines, "first,second,same")
    splits = load(faces, open_set=True, pairs=path, validation=0)
    assert who_is(splits, "test") == {"zoe\u0301": 2, "bob": 1}


def test_pairs_over_the_splits_of_a_source(tmp_path):
    folder(tmp_path, {"ann": 3, "bob": 2, "di": 2}, "train")
    folder(tmp_path, {"ann": 1, "cy": 2, "di": 1}, "test", start=50)
    lines = ["train/ann/ann_0001,test/ann/ann_0001,1", "cy_0001,ann/ann_0002,0"]
    path = csv(tmp_path.parent / "p.csv", lines, "first,second,same")
    with pytest.raises(DataError, match="bob"):
        load(
            tmp_path,
            open_set=True,
            pairs=csv(path, [*lines, "bob_0003,cy_0001,0"], "first,second,same"),
        )
    splits = load(
        tmp_path, open_set=True, pairs=csv(path, lines, "first,second,same"), validation=0
    )
    assert who_is(splits, "test") == {"ann": 3, "cy": 1}
    assert splits.classes == ("bob", "di")
    assert "2 other images of the source's own test split are not used" in splits.notes


def test_images_without_names_are_named_by_their_row():
    samples = [(torch.full((1, 2, 2), row / 8), row // 2) for row in range(8)]
    folds = "0,1,1\n0,2,0\n"

    def of(path, data, text):
        path.write_text("first,second,same\n" + text)
        return load(data, open_set=True, pairs=path, validation=0)

    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place) / "p.csv"
        splits = of(path, samples, folds)
        assert splits.test.labels.tolist() == [2, 2, 3]
        splits = of(path, (samples[:6], samples[6:]), "train/0,train/1,1\ntest/0,train/0,0\n")
        assert [float(splits.test.read(row)[0, 0, 0]) for row in range(3)] == [0, 1 / 8, 6 / 8]


REFUSED = {
    "unknown": ([*GOOD, "ann_0009,bob_0001,0,2"], "p.csv, line 6: 'ann_0009' names no image of "
                "'faces'; nearest: ann_000"),
    "how many": ([*GOOD, "ann_0009,bobo,0,2"], "2 of the 9 names in the file name none: mend"),
    "another data set": (["x_0001,x_0002,1,1", "y,z,0,2"], "name none: is it of another data set?"),
    "itself": ([*GOOD, "ann_0001,ann/ann_0001.png,1,1"], "line 6: ann_0001 and ann/ann_0001.png "
               "are one image; an image is not compared with itself"),
    "twice": ([*GOOD, GOOD[0]], "line 6: ann_0001 and ann_0002 are compared in line 2 already"),
    "either way round": ([*GOOD, "ann_0002,ann_0001,1,2", "ann_0002,ann_0001,1,2"],
                         "in line 2 already (1 more such line); either way round it is one pair"),
    "same of two": ([*GOOD, "ann_0003,bob_0003,1,1"], "line 6: same is 1 for ann_0003 and "
                    "bob_0003, and by the labels they are 'ann' and 'bob'; mend same"),
    "different of one": ([*GOOD, "ann_0003,ann_0004,0,1"], "and by the labels both are 'ann'"),
    "a word": ([*GOOD, "ann_0003,ann_0004,yes,1"], "line 6: same is 'yes'; it is 1 for two images"),
    "two": ([*GOOD, "ann_0003,ann_0004,2,1"], "line 6: same is '2'"),
    "an empty cell": ([*GOOD, "ann_0003,,1,1"], "line 6: 'second' is empty; fill it or drop"),
    "a cell too few": ([*GOOD, "ann_0003,ann_0004,1"], "line 6 has 3 values for 4 columns"),
    "a fold that is none": ([*GOOD, "ann_0003,ann_0004,1,a"], "line 6: fold is 'a'; it is a whole"),
    "one fold": (GOOD[:2], "are in fold 1: a threshold is chosen on other folds"),
    "no same": ([GOOD[1], GOOD[3]], "0 pairs are of one person and 2 of different people"),
    "no different": ([GOOD[0], GOOD[2]], "2 pairs are of one person and 0 of different people"),
    "no lines": ([], "has a header and no pairs"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(people, case):
    lines, message = REFUSED[case]
    with pytest.raises(DataError, match=re.escape(message)):
        load(people, open_set=True, pairs=csv(people / "p.csv", lines))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; wanted is a header, first,second,same,fold"),
        (" \n\n", "is empty"),
        ("ann_0001,ann_0002,1,1\n", "has no column 'first'; its first line is 'ann_0001,ann_0002"),
        ("first;second;same\na;b;1\n", "parts its columns by ';', and a .csv by ','"),
        ("first,first,second,same\n", "has the column 'first' twice"),
        ("first,second\n", "has no column 'same'"),
        (b"first,second,same\n\xff,a,1\n", "is not UTF-8; save the file of pairs as UTF-8"),
        (b"first,second,same\na\x00,b,1\n", "p.csv, line 2"),
    ],
)
def test_refuses_the_file(people, text, message):
    (people / "p.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=re.escape(message)):
        load(people, open_set=True, pairs="p.csv")


def test_a_name_that_several_images_have(tmp_path):
    folder(tmp_path / "faces")
    for who in ("ann", "bob"):
        (tmp_path / "faces" / who / f"{who}_0002.png").rename(tmp_path / "faces" / who / "two.png")
    path = csv(tmp_path / "p.csv", ["two,ann_0001,1", "ann_0001,bob_0001,0"], "first,second,same")
    with pytest.raises(
        DataError, match=r"line 2: 'two' names 2 images of 'faces' \(ann/two.png, b"
    ):
        load(tmp_path / "faces", open_set=True, pairs=path)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"pairs": "pars.csv"}, "nearest: p.csv"),
        ({"pairs": ""}, "there is no file of pairs at . nor at"),
        ({"pairs": "/nowhere/p.csv"}, "no file of pairs at /nowhere/p.csv (data.pairs); wanted"),
        ({"pairs": "p.csv", "folds": [1, 3]}, "has no fold 3 (data.folds); it has 1, 2"),
        ({"pairs": "p.csv", "folds": [2]}, "are in fold 2: a threshold"),
        ({"pairs": "plain.csv", "folds": [1, 2]}, "has no column 'fold'"),
        ({"pairs": "p.csv", "open_set": False}, "are tested by task: verification"),
        ({"pairs": "all.csv"}, "0 of 0 people are left to train on"),
    ],
)
def test_refuses_what_is_asked(people, asked, message):
    csv(people / "p.csv", GOOD)
    csv(people / "plain.csv", ["ann_0001,ann_0002,1", "ann_0001,bob_0001,0"], "first,second,same")
    everybody = ["ann", "bob", "cy", "di", "eve", "flo", "gus", "hal", "ivy"]
    lines = [f"{one}_0001,ann_0002,{int(one == 'ann')}" for one in everybody]
    csv(people / "all.csv", lines, "first,second,same")
    with pytest.raises(DataError, match=re.escape(message)):
        load(people, **{"open_set": True, "validation": 0, **asked})
