"""Data of which nobody knows what they are: a pile of images, and sources whose labels are left."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.image_operations import resize_table
from stillhouse.data.load import load
from stillhouse.data.orders import class_pairs
from stillhouse.data.tables import SampleTable
from stillhouse.errors import DataError


def picture(path: Path, value: int, width: int = 6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, width, 3), value, dtype=np.uint8)).save(path)


def pile(root: Path, count: int, *, wider: int = 0) -> Path:
    """Images at two depths."""
    for number in range(count):
        folder = root / "2024" / "may" if number % 3 == 0 else root
        picture(folder / f"{number}.png", number, width=6 + wider * number)
    return root


def values(table: object) -> list[int]:
    return sorted(int(image.flatten()[0]) for image in table.images)  # type: ignore[attr-defined]


def test_a_pile_of_images_is_split_by_row_and_by_the_seed_alone(tmp_path: Path) -> None:
    source = pile(tmp_path / "photos", 30)
    (source / "notes.txt").write_text("mine")
    splits = load(source, labelled=False)
    assert splits.classes == ()
    sizes = [len(table) for table in (splits.train, splits.validation, splits.test)]
    assert sizes == [22, 2, 6]
    all_of_them = [values(t) for t in (splits.train, splits.validation, splits.test)]
    assert sorted(itertools.chain(*all_of_them)) == list(range(30)), "each in one split"
    assert splits.train.labels.shape == (22, 0)
    said = " ".join(splits.notes)
    assert "10 images lie in folders, whose names are not read" in said
    assert "1 .txt" in said
    again, other = load(source, labelled=False), load(source, labelled=False, split_seed=1)
    assert again.fingerprint == splits.fingerprint != other.fingerprint
    assert values(load(source, labelled=False, limit=5, validation=0).test) == all_of_them[2]


def test_images_of_several_sizes_have_no_labels_either(tmp_path: Path) -> None:
    splits = load(pile(tmp_path / "photos", 10, wider=1), labelled=False, validation=0)
    assert isinstance(splits.train, SampleTable)
    resized = resize_table(splits.test, 4)
    batch = next(Batches(resized, Augment(mean=(0.5,) * 3, std=(0.25,) * 3)).once())
    assert "batch.label" not in batch


def test_folders_called_like_splits_are_splits(tmp_path: Path) -> None:
    pile(tmp_path / "train", 8), pile(tmp_path / "val", 4), pile(tmp_path / "test", 5)
    splits = load(tmp_path, labelled=False)
    assert [len(t) for t in (splits.train, splits.validation, splits.test)] == [8, 4, 5]
    picture(tmp_path / "beside.png", 1)
    with pytest.raises(DataError, match="1 images lie beside it"):
        load(tmp_path, labelled=False)


def test_batches_have_no_label_mixed_or_not(tmp_path: Path) -> None:
    splits = load(pile(tmp_path / "photos", 12), labelled=False)
    for mixup in (0.0, 1.0):
        augment = Augment(mean=(0.5,) * 3, std=(0.25,) * 3, mixup=mixup)
        (batch, *_) = Batches(splits.train, augment).epoch(0)
        assert not {"batch.label", "batch.partner_label"} & set(batch)
        assert ("batch.lam" in batch) is bool(mixup)
    assert Batches(splits.train, augment).labels is None
    with pytest.raises(DataError, match="they have no labels"):
        next(Batches(splits.train, augment).epoch(0, order=class_pairs))


@pytest.mark.parametrize("columns", [{"label": [0, 1] * 6}, {"caption": ["a", None] * 6}, {}])
def test_a_parquet_file_needs_no_labels_and_keeps_none(
    tmp_path: Path, columns: dict[str, list[object]]
) -> None:
    images = []
    for number in range(12):
        picture(tmp_path / "one.png", number)
        images.append((tmp_path / "one.png").read_bytes())
    pq.write_table(pa.table({"image": images, **columns}), tmp_path / "data.parquet")
    splits = load(tmp_path / "data.parquet", labelled=False, validation=0)
    assert (splits.classes, splits.train.labels.shape) == ((), (10, 0))


def test_a_listing_needs_paths_only(tmp_path: Path) -> None:
    pile(tmp_path / "photos", 9)
    paths = [p.relative_to(tmp_path) for p in sorted((tmp_path / "photos").rglob("*.png"))]
    (tmp_path / "list.csv").write_text("path\n" + "\n".join(map(str, paths)))
    assert len(load(tmp_path / "list.csv", labelled=False, validation=0).train) == 7


def test_arrays_need_images_only(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_images=np.zeros((10, 4, 4), dtype=np.uint8))
    splits = load(tmp_path / "a.npz", labelled=False)
    assert splits.train.labels.shape[1:] == (0,)
    assert load("digits", labelled=False).classes == ()


def test_datasets_of_ones_own_may_give_images_alone_or_anything_beside_them() -> None:
    images = torch.rand(12, 1, 4, 4)
    alone, mapped = list(images), [{"image": each, "caption": "?"} for each in images]
    found = [
        load(given, labelled=False, validation=0)
        for given in (alone, mapped, TensorDataset(images), list(zip(images, images, strict=True)))
    ]
    shown = [next(Batches(s.test, Augment(mean=(0.0,), std=(1.0,))).once()) for s in found]
    assert all(torch.equal(each["batch.image"], shown[0]["batch.image"]) for each in shown)
    assert not any("batch.label" in each for each in shown)
    with pytest.raises(DataError, match="is a int"):
        load([1, 2, 3], labelled=False)


def test_no_image_and_one_image_are_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no image; wanted is a folder of images"):
        load(tmp_path / "empty", labelled=False)
    picture(tmp_path / "one" / "1.png", 1)
    with pytest.raises(DataError, match="test needs at least 2 rows"):
        load(tmp_path / "one", labelled=False)


def test_a_pile_is_still_no_classification(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one class only"):
        load(pile(tmp_path / "photos", 3), validation=0)
