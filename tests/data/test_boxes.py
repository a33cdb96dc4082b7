"""Images with boxes: what is read of COCO's form, what is refused, and how rows are shown."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.detection.sources import read_boxes
from stillhouse.data.detection.target import learnt
from stillhouse.errors import DataError

NAMES = [{"id": 7, "name": "bar"}, {"id": 3, "name": "square"}]


def box(number: int, image: int, sides: list[float], **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": 3, "bbox": sides, **more}


def folder(path: Path, boxes: list[dict[str, Any]], **more: Any) -> Path:
    """Two images of 40 x 20, the second black, with these boxes."""
    where = path / "train"
    where.mkdir(parents=True, exist_ok=True)
    for name, tone in (("a.png", 200), ("b.png", 0)):
        Image.fromarray(np.full((20, 40, 3), tone, dtype=np.uint8)).save(where / name)
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    told = {"images": images, "annotations": boxes, "categories": NAMES, **more}
    (where / "_annotations.coco.json").write_text(json.dumps(told))
    return path


def test_boxes_are_read_checked_counted_and_shown(tmp_path: Path) -> None:
    boxes = [
        box(1, 1, [4, 2, 10, 6]),
        box(2, 1, [30, 10, 20, 5]),
        box(3, 1, [5, 5, 0, 4]),
        box(4, 1, [50, 5, 4, 4]),
        box(5, 1, [float("nan"), 5, 4, 4]),
        box(6, 1, [0, 0, 40, 20], iscrowd=1, area=100, category_id=7),
    ]
    found = read_boxes(folder(tmp_path, boxes), longest=20)
    assert found.classes == ("square", "bar")
    assert list(found.notes) == [
        "1 box marked as a crowd or as difficult was kept for the metric, which ignores what is "
        "found there; not learnt, such as one of a.png",
        "1 box without width or height was left out, such as one of a.png",
        "1 box with nan or inf was left out, such as one of a.png",
        "1 box wholly outside the image was left out, such as one of a.png",
        "1 box reaching out of the image was cut at the border, such as one of a.png",
        "1 image without boxes: kept, as a negative",
    ]
    table = found.parts["train"]
    shown = next(Batches(table, Augment((0.0,), (1.0,)), batch_size=2).once())
    assert shown["batch.image"].shape == (2, 3, 32, 32)
    assert shown["batch.content"].tolist() == [[10 / 32, 20 / 32]] * 2
    assert shown["batch.image"][0, :, :10, :20].mean().item() == pytest.approx(200 / 255)
    label = shown["batch.label"][0]
    assert label[:3, :5].tolist() == [[0, 2, 1, 7, 4], [0, 15, 5, 20, 7.5], [1, 0, 0, 20, 10]]
    assert label[:, 5].tolist() == [0, 0, 1]
    assert label[:, 6].tolist() == [60, 50, 100]
    assert label[0, 7:].tolist() == [2, 2]
    corners, classes = learnt(label)
    assert classes.tolist() == [0, 0]
    assert corners.shape == (2, 4)
    assert (shown["batch.label"][1, :, 0] == -1).all()


REFUSED = {
    "an id twice": ([box(1, 1, [1, 1, 2, 2]), box(1, 2, [1, 1, 2, 2])], {}, "annotation id 1"),
    "an image that is not listed": ([box(1, 9, [1, 1, 2, 2])], {}, "a box is of image 9"),
    "a category that is not declared": (
        [box(1, 1, [1, 1, 2, 2], category_id=4)], {}, "category 4, which is not declared"
    ),
    "a missing file": (
        [box(1, 1, [1, 1, 2, 2])],
        {"images": [{"id": 1, "file_name": "c.png"}]},
        "names the image 'c.png', and there is no file",
    ),
    "an image twice": (
        [box(1, 1, [1, 1, 2, 2])],
        {"images": [{"id": n, "file_name": "a.png"} for n in (1, 2)]},
        "image 'a.png' is annotated twice",
    ),
    "no boxes": ([], {}, "not one box"),
    "a box of three numbers": ([box(1, 1, [1, 1, 2])], {}, "a box is four numbers"),
    "a number of many digits": ([box(1, 1, [1, 1, 2, 10**400])], {}, "a box is four numbers"),
    "a word": ([box(1, 1, [1, 1, 2, "x"])], {}, r"image 'a.png': a box is four numbers"),
    "no list": ({"a": 1}, {}, "annotations is no list of objects"),
    "a box that is text": (["x"], {}, "annotations is no list of objects"),
    "an id that is a list": ([box([1], 1, [1, 1, 2, 2])], {}, "an annotation has no id"),
    "an image that is a list": ([box(1, [1], [1, 1, 2, 2])], {}, r"a box is of image \[1\]"),
    "an area in words": ([box(1, 1, [1, 1, 2, 2], area="big")], {}, "the area .* is 'big'"),
    "an area below zero": ([box(1, 1, [1, 1, 2, 2], area=-4)], {}, "the area of a box is -4"),
    "a crowd in words": ([box(1, 1, [1, 1, 2, 2], iscrowd="0")], {}, "marked '0' .* give 0 or 1"),
    "a category without a name": (
        [box(1, 1, [1, 1, 2, 2])], {"categories": [{"id": 3}]}, "the name of a class is None"
    ),
    "a name that no file can have": (
        [box(1, 1, [1, 1, 2, 2])], {"images": [{"id": 1, "file_name": "a" * 5000}]}, "is no file"
    ),
    "pixels that lie outside": ([box(1, 1, [90, 90, 2, 2])], {}, "to learn.*: 1 box wholly outsid"),
    "two categories of one name": (
        [box(1, 1, [1, 1, 2, 2])],
        {"categories": [{"id": n, "name": "square"} for n in (3, 4)]},
        "two categories have one name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_annotations_that_do_not_hold_together_are_refused(tmp_path: Path, what: str) -> None:
    boxes, more, said = REFUSED[what]
    with pytest.raises(DataError, match=said):
        read_boxes(folder(tmp_path, boxes, **more))


def test_splits_of_other_classes_and_what_is_no_source_are_refused(tmp_path: Path) -> None:
    source = folder(tmp_path / "one", [box(1, 1, [1, 1, 2, 2])])
    other = folder(tmp_path / "two", [box(1, 1, [1, 1, 2, 2])], categories=NAMES[1:])
    (other / "train").rename(source / "test")
    with pytest.raises(DataError, match="declares the classes square"):
        read_boxes(source)
    (tmp_path / "none").mkdir()
    for strange in (tmp_path / "none", tmp_path / "nowhere"):
        with pytest.raises(DataError, match="no source of images with boxes"):
            read_boxes(strange)


def test_another_box_is_another_fingerprint(tmp_path: Path) -> None:
    tables = [
        read_boxes(folder(tmp_path / str(at), [box(1, 1, [1, 1, 2, side])])).parts["train"]
        for at, side in enumerate((2, 2, 3))
    ]
    first, again, third = (table.fingerprint() for table in tables)
    assert first == again != third
    assert tables[0].take(torch.tensor([1])).fingerprint() != first
