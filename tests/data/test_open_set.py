"""Splits by person: who is in which table, and what is compared, against hand-written lists."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from people import IMAGES, folder, images, who_is

from stillhouse.data.load import load
from stillhouse.data.split_tables import Splits
from stillhouse.data.tables import ImageTable
from stillhouse.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def people(tmp_path):
    return folder(tmp_path / "faces")


def test_people_are_carved_whole(people):
    splits = load(people, open_set=True, test=3, validation=2)
    parts = {name: who_is(splits, name) for name in ("train", "validation", "test")}
    assert sum(parts.values(), Counter()) == Counter(IMAGES)  # each person whole, in one table
    assert [len(each) for each in parts.values()] == [4, 2, 3]
    assert splits.classes == splits.people[:4]
    assert sorted(splits.train.labels.unique().tolist()) == [0, 1, 2, 3]
    assert sorted(splits.validation.labels.unique().tolist()) == [4, 5]
    assert sorted(splits.test.labels.unique().tolist()) == [6, 7, 8]
    assert splits.open_set
    everything = torch.cat([table.images for table in splits.tables.values()])
    assert sorted(everything[:, 0, 0, 0].tolist()) == list(range(1, 21))


def test_all_pairs_of_a_table_are_compared(people):
    splits = load(people, open_set=True, test=4, validation=0)
    counts = list(who_is(splits, "test").values())
    count = sum(counts)
    pairs = splits.pairs["test"]
    assert list(splits.pairs) == ["test"]
    assert len(pairs) == count * (count - 1) // 2
    assert pairs.same.sum() == sum(n * (n - 1) // 2 for n in counts)
    labels = splits.test.labels.numpy()
    assert ((labels[pairs.first] == labels[pairs.second]) == pairs.same).all()
    assert pairs.fold is None


def test_people_with_one_image_give_their_share(people):
    for seed in range(8, 26):  # 7 people with more, 2 with one
        splits = load(people, open_set=True, test=0.4, validation=0, split_seed=seed)
        tested = who_is(splits, "test")
        assert len(tested) == 4
        assert sum(count == 1 for count in tested.values()) == 1
        assert "1 of the 5 people of training have one image" in splits.notes[-1]


def test_who_is_tested_is_a_function_of_the_split_seed(people):
    first, again, other = (
        load(people, open_set=True, test=3, validation=2, split_seed=seed) for seed in (0, 0, 1)
    )
    assert who_is(first, "test") == who_is(again, "test") != who_is(other, "test")
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.fingerprint != load(people, test=0, validation=0).fingerprint
    fewer = load(people, open_set=True, test=3, validation=3)
    assert who_is(fewer, "test") == who_is(first, "test")


def test_own_splits_of_the_source_are_taken_where_people_differ(tmp_path):
    folder(tmp_path, {"ann": 3, "bob": 2}, "train")
    folder(tmp_path, {"cy": 2, "di": 2}, "test", start=50)
    folder(tmp_path, {"eve": 2, "flo": 2}, "val", start=90)
    splits = load(tmp_path, open_set=True)
    assert splits.classes == ("ann", "bob")
    assert splits.people == ("ann", "bob", "eve", "flo", "cy", "di")
    assert splits.validation.labels.tolist() == [2, 2, 3, 3]
    assert splits.test.labels.tolist() == [4, 4, 5, 5]


def test_a_person_in_both_sides_is_named(tmp_path):
    folder(tmp_path, {"ann": 3, "bob": 2, "cy": 2}, "train")
    folder(tmp_path, {"bob": 2, "di": 2}, "test")
    with pytest.raises(DataError, match="1 of 3 people are in train and in test: 'bob'; ver"):
        load(tmp_path, open_set=True)
    splits = load(tmp_path, open_set=True, unseen=["bob", "di"], validation=0)
    assert who_is(splits, "test") == {"bob": 4, "di": 2}  # of both splits
    assert who_is(splits, "train") == {"ann": 3, "cy": 2}


def test_a_person_in_train_and_validation_is_named(tmp_path):
    everybody = {"ann": 3, "bob": 2, "cy": 2, "eve": 2, "flo": 2, "gus": 2}
    folder(tmp_path, everybody, "train")
    folder(tmp_path, {"eve": 1, "ann": 1}, "validation", start=20)
    with pytest.raises(DataError, match="6 people are in train and in validation: 'ann', 'eve';"):
        load(tmp_path, open_set=True, test=0)
    splits = load(tmp_path, open_set=True, unseen=["ann", "bob"])
    assert who_is(splits, "test") == {"ann": 4, "bob": 2}
    assert len(who_is(splits, "validation")) == 2  # a tenth of four people, and two at least
    assert splits.notes == ("1 other images of the source's own validation split are not used",)


def test_unseen_people_are_who_is_tested(people):
    splits = load(people, open_set=True, unseen=["cy", "gus", "ivy"], validation=0)
    assert who_is(splits, "test") == {"cy": 3, "gus": 2, "ivy": 1}
    assert splits.unseen is None
    assert len(load(people, open_set=True, unseen=4, validation=0).people[5:]) == 4


def test_least_number_of_images_of_a_person(people):
    splits = load(people, open_set=True, unseen=["ann", "ivy"], validation=0, min_per_class=2)
    assert set(splits.classes) == set(IMAGES) - {"ann", "ivy", "hal"}
    assert splits.people == (*splits.classes, "ann", "ivy")
    assert splits.notes == (
        "min_per_class 2: 1 of 7 people, with 1 images, are left out of training",
    )
    with pytest.raises(DataError, match=r"0 of 7 people are left to train on with 9 .* is 3"):
        load(people, open_set=True, unseen=["ann", "ivy"], validation=0, min_per_class=9)


def test_a_limit_counts_training_images_and_keeps_each_person(people):
    splits = load(people, open_set=True, test=3, validation=2)
    limited = load(people, open_set=True, test=3, validation=2, limit=5)
    assert len(limited.train) == 5
    assert limited.classes == splits.classes
    assert images(limited.test) == images(splits.test)
    assert limited.limited(None).fingerprint == splits.fingerprint
    assert limited.fingerprint != splits.fingerprint


def test_people_that_are_named_and_have_no_image_are_counted(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [path.read_bytes() for path in sorted(folder(tmp_path / "a").rglob("*.png"))[:8]]
    names = '{"info": {"features": {"person": {"names": ["a", "b", "c", "d", "e", "f"]}}}}'
    table = pa.table({"image": rows, "person": [0, 0, 1, 1, 3, 3, 5, 5]})
    pq.write_table(table.replace_schema_metadata({"huggingface": names}), tmp_path / "all.parquet")
    splits = load(tmp_path / "all.parquet", open_set=True, test=2, validation=0)
    assert set(splits.people) == {"a", "b", "d", "f"}
    assert splits.notes == ("2 of the 6 named people have no image",)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"test": 1}, "test = 1 takes 1 of 9 people: images of different people are compared"),
        ({"test": 8}, "test = 8 takes 8 of 9 people"),
        ({"test": 3, "validation": 1}, "validation = 1 takes 1 of 6 people"),
        ({"test": 3, "validation": 1}, "give 2 to 4 (2 people on each side), or 0 for none"),
        ({"unseen": 3, "pairs": "p.csv"}, "says who is tested, and so does unseen"),
        ({"test": 9}, "test asks for 9 people; there are 9, ask for 0 to 8"),
        ({"test": 1.5}, "test: 1.5 is neither a share in [0, 1) nor a number of people"),
        ({"validation": 6, "test": 2}, "validation = 6 takes 6 of 7 people"),
        ({"unseen": ["ann", "bobb"]}, "unseen: there is no class 'bobb'; nearest: bob"),
        ({"unseen": ["ann"]}, "unseen holds out 1 of 9 people"),
        ({"unseen": ["ann", "ann"]}, "unseen names 'ann' twice"),
        (
            {"unseen": ["hal", "ivy"], "validation": 2},
            "test: verification compares images of the same and of",
        ),
        ({"folds": [1, 2]}, "folds [1, 2] are of a file of pairs; give it"),
        ({"split_seed": -1}, "seed of a split is -3"),
    ],
)
def test_refuses(people, asked, message):
    with pytest.raises(DataError, match=re.escape(message)):
        load(people, open_set=True, **asked)


def test_tables_of_one_person_in_two_are_refused_wherever_they_come_from(people):
    splits = load(people, open_set=True, test=3, validation=2)
    both = ImageTable(splits.test.images, splits.test.labels - 2)
    with pytest.raises(DataError, match="is in validation and in test; one table each"):
        Splits("a", splits.train, splits.validation, both, splits.classes, "",
               people=splits.people, pairs=splits.pairs)  # fmt: skip
    trained = ImageTable(splits.test.images, splits.test.labels * 0)
    with pytest.raises(DataError, match="rows of test are of people who are in train, too"):
        Splits("a", splits.train, splits.validation, trained, splits.classes, "",
               people=splits.people, pairs=splits.pairs)  # fmt: skip


def test_splits_that_were_made_before_are_of_the_kind_that_is_wanted(people):
    splits = load(people, open_set=True, test=3, validation=2)
    assert load(splits, open_set=True) is splits
    with pytest.raises(DataError, match=r"given are of an open set .* wants splits of one set of"):
        load(splits)
    with pytest.raises(DataError, match=r"load\(..., open_set=True\)"):
        load(load(people, test=0, validation=0), open_set=True)
    with pytest.raises(DataError, match="Splits were given, whose rows are chosen already"):
        load(splits, open_set=True, unseen=3)


def test_datasets_from_python_are_split_by_person_and_joined():
    samples = [(torch.full((1, 2, 2), row / 8), row // 2) for row in range(8)]
    more = [(torch.full((1, 2, 2), 0.99), 3)]
    splits = load((samples, more), open_set=True, unseen=["2", "3"], validation=0)
    assert splits.train.labels.tolist() == [0, 0, 1, 1]
    assert splits.test.labels.tolist() == [2, 2, 3, 3, 3]
    assert [float(splits.test.read(row)[0, 0, 0]) for row in (0, 4)] == [0.5, pytest.approx(0.99)]
    assert splits.pairs["test"].same.sum() == 4
    assert len(splits.test.fingerprint()) == 64


def test_real_faces_by_person():
    if not (SHARED / "orl_faces").exists():
        pytest.skip("the real data orl_faces is not here")
    splits = load(SHARED / "orl_faces", open_set=True)
    assert splits.told == (
        "290 train images of 29 people, 30 validation images of 3 others (435 pairs), 80 test "
        "images of 8 others (3,160 pairs)"
    )
    assert [int(splits.pairs[name].same.sum()) for name in ("validation", "test")] == [135, 360]


@pytest.mark.slow
def test_real_faces_by_pairs():
    if not (SHARED / "lfw").exists():
        pytest.skip("the real data lfw is not here")
    import csv as reader

    splits = load(SHARED / "lfw", label="person", open_set=True, pairs="pairs.csv",
                  folds=range(6, 11), min_per_class=4)  # fmt: skip
    with (SHARED / "lfw" / "pairs.csv").open() as lines:
        listed = [row for row in reader.DictReader(lines) if int(row["fold"]) > 5]
    named = {row[side] for row in listed for side in ("first", "second")}
    tested = {name.rsplit("_", 1)[0] for name in named}
    assert len(splits.test) == len(named) == 3890
    assert {splits.people[label] for label in splits.test.labels.tolist()} == tested
    assert not tested & set(splits.classes)
    pairs = splits.pairs["test"]
    names = [splits.people[label] for label in splits.test.labels[pairs.first].tolist()]
    assert names == [row["first"].rsplit("_", 1)[0] for row in listed]
    assert pairs.fold.tolist() == [int(row["fold"]) for row in listed]
    assert torch.bincount(splits.train.labels).min() >= 4
    assert np.unique(pairs.fold).tolist() == [6, 7, 8, 9, 10]


def test_the_code_of_the_page_runs(capsys):
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    code = page[page.index("## Split by person") :].split("```python\n")[1].split("```")[0]
    exec(code)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "1,037 train, 115 validation, 288 test images of 8 classes, 357 of 2 un"
    )
    assert second == "('0', '4', '6', '8', '9') ('5', '7', '1', '2', '3') 146611"
