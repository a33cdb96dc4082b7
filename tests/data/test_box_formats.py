"""The four formats of boxes: the same boxes give the same targets; what each of them refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from written_boxes import (
    NAMES,
    SIZES,
    SPLITS,
    as_coco,
    as_objects,
    as_voc,
    as_yolo,
    saved,
)

from stillhouse.data.detection.sources import read_boxes
from stillhouse.data.views import PLAIN_VIEW
from stillhouse.errors import DataError, RecipeError
from stillhouse.recipes.data import DataSection
from stillhouse.runs.job.data import open_splits


def shown(source: Any, **more: Any) -> dict[str, dict[str, torch.Tensor]]:
    """All rows of all splits, as evaluation and as training sees them."""
    found = read_boxes(source, longest=48, **more)
    assert found.classes == NAMES
    assert list(found.parts) == ["train", "test"]
    return {split: table.show(torch.arange(len(table)), view=PLAIN_VIEW, seed=0)
            for split, table in found.parts.items()}  # fmt: skip


def parquet(root: Path, dataset: Any) -> Path:
    root.mkdir()
    for split, part in dataset.items():
        part.to_parquet(root / f"{split}-00000-of-00001.parquet")
    return root


def saved_to_disk(root: Path, dataset: Any) -> Path:
    dataset.save_to_disk(root)
    return root


WRITTEN: dict[str, Callable[[Path], Any]] = {
    "yolo": lambda root: as_yolo(root),
    "data.yaml": lambda root: as_yolo(root) / "data.yaml",
    "voc": lambda root: as_voc(root),
    "objects": lambda _: as_objects(),
    "lists of objects": lambda _: as_objects(pairs=True),
    "parquet": lambda root: parquet(root, as_objects()),
    "save_to_disk": lambda root: saved_to_disk(root, as_objects()),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_the_same_boxes_in_each_format_are_the_same_targets(tmp_path: Path, form: str) -> None:
    wanted, found = shown(as_coco(tmp_path / "coco")), shown(WRITTEN[form](tmp_path / "other"))
    for split, rows in SPLITS.items():
        assert torch.equal(found[split]["label"], wanted[split]["label"])
        assert torch.equal(found[split]["image"], wanted[split]["image"])
        label = found[split]["label"]
        for at, row in enumerate(rows):
            scale = max(SIZES[at]) / 48
            sides = torch.tensor([each[:5] for each in row]).reshape(-1, 5)
            assert (label[at, :, 0] >= 0).sum() == len(row)
            assert label[at, : len(row), 0].tolist() == sides[:, 0].tolist()
            assert torch.allclose(label[at, : len(row), 1:5], sides[:, 1:] / scale, atol=0.5)


def test_crowds_and_difficult_objects_are_alike(tmp_path: Path) -> None:
    hard = {"train": [[(0, 4, 2, 14, 8, 1), (1, 6, 6, 12, 12, 0)]], "test": [[(1, 1, 1, 3, 5, 1)]]}
    made = as_coco(tmp_path / "a", hard), as_voc(tmp_path / "b", hard), as_objects(hard)
    wanted, *others = (shown(each) for each in made)
    assert wanted["train"]["label"][0, :2, 5].tolist() == [1, 0]
    for found in others:
        assert torch.equal(found["train"]["label"], wanted["train"]["label"])
        assert torch.equal(found["test"]["label"], wanted["test"]["label"])
    assert "2 boxes marked as a crowd or as difficult" in " ".join(read_boxes(made[1]).notes)


def test_layouts_of_roboflow_and_of_coco_itself_are_read(tmp_path: Path) -> None:
    """train/images beside train/labels; train/*.xml beside its images; instances_train2017.json."""
    yolo, voc, coco = (write(tmp_path / name) for name, write in
                       (("yolo", as_yolo), ("voc", as_voc), ("coco", as_coco)))  # fmt: skip
    wanted = shown(coco)
    for split in SPLITS:
        (yolo / split).mkdir()
        (yolo / "images" / split).rename(yolo / split / "images")
        (yolo / "labels" / split).rename(yolo / split / "labels")
        (voc / split).mkdir()
        for file in [*voc.glob(f"*/{split}*.png"), *voc.glob(f"*/{split}*.xml")]:
            file.rename(voc / split / file.name)
        (coco / "annotations").mkdir(exist_ok=True)
        (coco / split / "coco.json").rename(coco / "annotations" / f"instances_{split}2017.json")
        (coco / split).rename(coco / f"{split}2017")
    for name in ("images", "labels"):
        (yolo / name).rmdir()
    (yolo / "data.yaml").write_text(
        f"train: ../train/images\nval: ../test/images\ntest: ../none/images\nnames: {list(NAMES)}\n"
    )
    (voc / "Annotations").rmdir()
    for source in (voc, coco):
        assert torch.equal(shown(source)["test"]["label"], wanted["test"]["label"])
    found = read_boxes(yolo)
    assert list(found.parts) == ["train", "validation"]
    assert "names '../none/images' for test, which is not there: left out" in found.notes[0]
    assert "1 image has no file of labels" in found.notes[1]


def test_what_is_left_out_or_guessed_is_said(tmp_path: Path) -> None:
    voc = as_voc(tmp_path / "voc")
    saved(voc / "JPEGImages", "spare", 0)
    notes = read_boxes(voc).notes
    assert notes[0].startswith("boxes are read as VOC counts them, from 1")
    assert notes[-1] == ("1 image that no annotation or list names was left out, such as "
                         "spare0.png")  # fmt: skip
    file = voc / "Annotations" / "test0.xml"
    file.write_text(file.read_text().replace("<xmin>2<", "<xmin>0<"))
    found = read_boxes(voc)
    assert "counted from 0 (data.boxes: xyxy), for 1 of 6" in found.notes[0]
    assert found.parts["test"].rows[0].boxes.tolist() == [[0, 2, 3, 5]]
    asked = read_boxes(voc, boxes="voc")
    assert asked.parts["test"].rows[0].boxes.tolist() == [[0, 1, 3, 5]]
    yolo = as_yolo(tmp_path / "yolo")
    label = yolo / "labels" / "train" / "train0.txt"
    label.write_text(label.read_text() + "0 nan .5 .1 .1\n0 .5 .5 0 .1\n1 3 .5 .1 .1\n\n")
    said = " ".join(read_boxes(yolo).notes)
    for part in ("without width or height", "with nan or inf", "wholly outside"):
        assert f"1 box {part}" in said


LAUGHS = '<!DOCTYPE a [<!ENTITY l "ha"><!ENTITY m "&l;&l;">]><annotation>&m;</annotation>'
FILE = '<!DOCTYPE a [<!ENTITY l SYSTEM "file:///etc/hostname">]><annotation>&l;</annotation>'
SIDES = "<bndbox><xmin>1</xmin><ymin>{}</ymin><xmax>2</xmax>{}</bndbox>"
BOX = f"<object><name>bar</name>{SIDES}</object>"
OF_VOC = {
    "Annotations/train0.xml": {
        LAUGHS: "has a document type",
        FILE: "has a document type",
        "<annotation>": "cannot be read as XML",
        "<annotation><object><name>bar</name></object></annotation>": "has no bndbox",
        f"<annotation>{BOX.format(1, '')}</annotation>": "a bndbox has no ymax",
        f"<annotation>{BOX.format('a', '<ymax>2</ymax>')}</annotation>": "wanted are numbers",
    },
    "ImageSets/Main/test.txt": {
        "gone\n": "lists 'gone', and there is no file",
        "test0\ntest0\n": "image 'test0.png' is annotated twice",
        "train0\n": "is annotated in train and in test",
    },
    "Annotations/test0.xml": {
        f"<annotation>{BOX.replace('bar', 'dot').format(1, '<ymax>2</ymax>')}</annotation>":
            "has a box of class 'dot', which is not declared; there is: bar, square",
        '<?xml version="1.0" encoding="nothing"?><a/>': "read as XML: unknown encoding",
        '<?xml version="1.0" encoding="utf-7"?><a/>': "read as XML: multi-byte encodings",
    },
}  # fmt: skip
OF_YOLO = {
    "labels/train/train0.txt": {
        "2 .5 .5 .1 .1": "line 1 has the class 2, which has no name; there are 2",
        "0.5 .5 .5 .1 .1": "has the class 0.5, which has no name",
        "nan .5 .5 .1 .1": "has the class nan",
        "0 .5 .5 .1": "has 4 numbers, and a box is five",
        "0 .5 .5 .1 .1 .2 .2": "has 7 numbers.*may be a polygon",
        "a b c d e": "is no box",
    },
    "labels/train/gone.txt": {"": "has the labels of an image that is missing"},
    "data.yaml": {
        "names: [bar, null]": "the name of a class is None",
        "names: [bar, bar]": "two classes have one name",
        "names: {0: bar, 2: square}": "no gap",
        "names: [bar, square]\nnc: 3": "nc says 3 classes, and names has 2",
        "train: nowhere\nnames: [bar, square]": "names 'nowhere' for train",
        "nc: 2": "names of the classes are nowhere",
        "names: !!python/name:os.system": "a tag",
    },
}


def cases(of: dict[str, dict[str, str]]) -> list[Any]:
    return [pytest.param(file, text, said, id=said[:40])
            for file, texts in of.items() for text, said in texts.items()]  # fmt: skip


@pytest.mark.parametrize(("file", "text", "said"), cases(OF_VOC))
def test_what_pascal_voc_may_not_say(tmp_path: Path, file: str, text: str, said: str) -> None:
    (as_voc(tmp_path / "it") / file).write_text(text)
    with pytest.raises(DataError, match=said):
        read_boxes(tmp_path / "it")


@pytest.mark.parametrize(("file", "text", "said"), cases(OF_YOLO))
def test_what_yolo_may_not_say(tmp_path: Path, file: str, text: str, said: str) -> None:
    (as_yolo(tmp_path / "it") / file).write_text(text)
    with pytest.raises(DataError, match=said):
        read_boxes(tmp_path / "it")


def test_a_folder_that_links_to_one_above_it_is_not_gone_round(tmp_path: Path) -> None:
    source = as_yolo(tmp_path / "it")
    before = [row.name for row in read_boxes(source).parts["train"].rows]
    (source / "images" / "train" / "round").symlink_to("..", target_is_directory=True)
    assert [row.name for row in read_boxes(source).parts["train"].rows] == before


def test_boxes_of_objects_that_look_like_another_form_are_to_be_named(tmp_path: Path) -> None:
    def corners(row: dict[str, Any], shares: bool) -> dict[str, Any]:
        width, height = row["image"].size
        boxes = [[x, y, x + w, y + h] for x, y, w, h in row["objects"]["bbox"]]
        part = [width, height, width, height] if shares else [1] * 4
        row["objects"]["bbox"] = [[v / p for v, p in zip(b, part, strict=True)] for b in boxes]
        return row

    wanted = shown(as_coco(tmp_path / "coco"))["train"]["label"]
    for form, said in (("xyxy", "reach out of their image as x, y"), ("xyxyn", "between 0 and 1")):
        other = as_objects().map(corners, fn_kwargs={"shares": form.endswith("n")})
        with pytest.raises(DataError, match=said):
            read_boxes(other)
        assert torch.allclose(shown(other, boxes=form)["train"]["label"], wanted, atol=1e-4)


def test_objects_with_an_id_twice_or_a_column_that_is_not_there_are_refused() -> None:
    with pytest.raises(DataError, match="two rows have the id of an object 0"):
        read_boxes(as_objects(ids=False))
    with pytest.raises(DataError, match=r"no column 'things' \(data.label\)"):
        read_boxes(as_objects(), objects="things")
    with pytest.raises(DataError, match="no column could hold the objects"):
        read_boxes(as_objects().remove_columns("objects").map(lambda row: {"n": 1}))


def test_a_layout_of_two_formats_is_settled_by_a_key(tmp_path: Path) -> None:
    both = as_coco(as_yolo(tmp_path / "both"))
    with pytest.raises(DataError, match=r"layout of coco and of yolo.*data.annotations: coco or"):
        read_boxes(both)
    section = {"source": str(both), "size": 48, "validation": 0}
    splits = open_splits(DataSection(**section, annotations="yolo"), rows_are="boxes")
    assert splits.classes == NAMES
    for more, said in (
        ({"annotations": "voc"}, "has not the layout of Pascal VOC"),
        ({"annotations": "coco", "boxes": "xyxy"}, "its boxes are xywh, leave it out"),
        ({"annotations": "coco", "image": "picture"}, "have no columns; leave out data.image"),
    ):
        with pytest.raises(DataError, match=said):
            open_splits(DataSection(**section, **more), rows_are="boxes")
    with pytest.raises(RecipeError, match=r"data.boxes: it is of images with boxes"):
        open_splits(DataSection(source=str(both), boxes="xyxy"))
    assert json.loads((both / "train" / "coco.json").read_text())["images"]
