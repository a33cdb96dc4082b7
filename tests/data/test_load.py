from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from stillhouse.data.load import Splits, load, source_names
from stillhouse.data.tables import ImageTable, SampleTable
from stillhouse.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"


def npz(path, count=100, classes=4, **more):
    """Each image holds its row number, so that a row is known wherever it goes."""
    images = np.zeros((count, 2, 2), dtype=np.uint8)
    images[:] = np.arange(count)[:, None, None]
    np.savez(path, images=images, labels=np.arange(count) % classes, **more)
    return path


def rows(table):
    return table.images[:, 0, 0, 0].tolist()


@pytest.fixture
def hundred(tmp_path):
    return npz(tmp_path / "hundred.npz")


def test_digits_are_those_of_sklearn():
    from sklearn.datasets import load_digits

    splits = load("digits", validation=0, test=0)
    digits = load_digits()
    assert splits.train.labels.tolist() == digits.target.tolist()
    expected = [[int(value * 255 / 16 + 0.5) for value in row] for row in digits.data]
    assert splits.train.images.flatten(1).tolist() == expected
    assert splits.classes == tuple("0123456789")
    assert splits.name == "digits"


def test_every_row_goes_to_one_split_and_classes_keep_their_share():
    splits = load("digits")
    whole = load("digits", validation=0, test=0).train
    parts = (splits.train, splits.validation, splits.test)
    assert sum(len(part) for part in parts) == len(whole) == 1797
    images = torch.cat([part.images for part in parts]).flatten(1).tolist()
    assert sorted(images) == sorted(whole.images.flatten(1).tolist())
    exact = torch.bincount(whole.labels) * 0.2
    assert (torch.bincount(splits.test.labels) - exact).abs().max() <= 1


def test_splits_do_not_depend_on_what_is_carved_after(hundred):
    plain = load(hundred)
    limited = load(hundred, limit=20)
    other = load(hundred, validation=0.3)
    assert rows(limited.test) == rows(plain.test) == rows(other.test)
    assert rows(limited.validation) == rows(plain.validation)
    assert len(limited.train) == 20
    assert set(rows(limited.train)) < set(rows(plain.train))
    assert torch.bincount(limited.train.labels).tolist() == [5] * 4


def test_numbers_of_rows(hundred):
    splits = load(hundred, validation=8, test=12)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [80, 8, 12]


def test_fingerprint_sees_the_split_seed_and_repeats(hundred, tmp_path):
    marks = [load(hundred, split_seed=seed).fingerprint for seed in (0, 0, 1)]
    assert marks[0] == marks[1] != marks[2]
    first, second = (load(hundred, split_seed=seed) for seed in (0, 1))
    for split in ("train", "validation", "test"):
        assert rows(getattr(first, split)) != rows(getattr(second, split))
    assert load(hundred, limit=20).fingerprint != marks[0]
    assert load(npz(tmp_path / "moved.npz")).fingerprint == marks[0]
    train, test = load(hundred, test=0).train, load(hundred).test
    assert train.fingerprint() != test.fingerprint()


@pytest.mark.parametrize(
    ("asked", "split"),
    [({"validation": 0}, "test"), ({"test": 0}, "validation"), ({"limit": 20}, "train")],
)
def test_split_seed_moves_each_draw_alone(tmp_path, asked, split):
    path = npz(tmp_path / "a.npz")
    asked = {"validation": 0, "test": 0, **asked} if split == "train" else asked
    first, second = (getattr(load(path, split_seed=seed, **asked), split) for seed in (0, 1))
    assert rows(first) != rows(second)


def test_splits_of_the_source_are_kept(tmp_path):
    images = np.zeros((8, 2, 2), dtype=np.uint8)
    path = npz(tmp_path / "a.npz", test_images=images, test_labels=np.arange(8) % 4)
    splits = load(path, test=0.5, validation=0.2)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [80, 20, 8]


def test_datasets_are_split_lazily():
    samples = TensorDataset(torch.rand(50, 1, 2, 2), torch.arange(50) % 5)
    splits = load(samples)
    assert isinstance(splits.train, SampleTable)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [36, 4, 10]
    row = int(splits.test.rows[3])
    assert torch.equal(splits.test.read(3), samples[row][0])
    assert splits.test.labels[3] == row % 5
    assert len(load((samples, samples)).test) == 50


def test_splits_pass_through(hundred):
    splits = load(hundred)
    assert load(splits) is splits
    limited = load(splits, limit=20)
    assert rows(limited.train) == rows(load(hundred, limit=20).train)
    assert limited.fingerprint == load(hundred, limit=20).fingerprint
    assert limited.test is splits.test


def test_tables_are_of_the_promised_kind(hundred):
    splits = load(hundred)
    assert isinstance(splits, Splits)
    for part in (splits.train, splits.validation, splits.test):
        assert isinstance(part, ImageTable)
        assert part.images.dtype == torch.uint8
        assert part.images.is_contiguous()
        assert part.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"validation": 0.6}, "validation = 0.6 takes 48 rows and leaves 32 to train on"),
        ({"validation": 41}, "must not be larger than train"),
        ({"validation": 500}, "validation asks for 500 rows; there are 80"),
        ({"test": 100}, "test asks for 100 rows; there are 100"),
        ({"test": 1.0}, "test: 1.0 is neither a share"),
        ({"limit": 3}, "limit: 3 rows are fewer than the 4 classes"),
        ({"image": "x"}, "has no columns; leave out image="),
        ({"split_seed": -1}, "seed of a split"),
    ],
)
def test_refuses(hundred, asked, message):
    with pytest.raises(DataError, match=message):
        load(hundred, **asked)


def test_class_with_too_few_rows_is_named(tmp_path):
    images, names = np.zeros((21, 2, 2), dtype=np.uint8), ["ant"] * 10 + ["fox"] * 10 + ["wolf"]
    np.savez(tmp_path / "a.npz", images=images, labels=np.array(names))
    with pytest.raises(DataError, match=r"test needs at least 2 rows.*'wolf' \(1 row\)"):
        load(tmp_path / "a.npz")


def test_nothing_of_this_name_says_what_there_is(hundred, monkeypatch):
    monkeypatch.chdir(hundred.parent)
    with pytest.raises(DataError, match=r"no 'hundrd\.npz'; nearest: hundred\.npz") as caught:
        load("hundrd.npz")
    assert all(form in str(caught.value) for form, _ in source_names())
    with pytest.raises(DataError, match="no 'digit'; nearest: digits"):
        load("digit")
    with pytest.raises(DataError, match=r"no 'elsewhere/at/all'"):
        load(Path("elsewhere/at/all"))
    with pytest.raises(DataError, match="no '~nobody-is-called-so/data'"):
        load("~nobody-is-called-so/data")
    with pytest.raises(DataError, match="no ''"):
        load("")


def test_file_of_another_kind(tmp_path):
    (tmp_path / "a.gz").write_text("1,2")
    with pytest.raises(DataError, match=r"file .*a\.gz is none of \.parquet, \.tar"):
        load(tmp_path / "a.gz")


def test_real_faces_are_carved():
    if not (SHARED / "orl_faces").exists():
        pytest.skip("the real data orl_faces is not here")
    splits = load(str(SHARED / "orl_faces"))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [288, 32, 80]
    assert torch.bincount(splits.test.labels).tolist() == [2] * 40
    assert torch.bincount(splits.train.labels).min() >= 7
    assert splits.classes[1:10:8] == ("s2", "s10")
    again = load(SHARED / "orl_faces", split_seed=1)
    assert again.fingerprint != splits.fingerprint
