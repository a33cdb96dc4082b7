"""A source of images with boxes as splits: which of the four formats it is, read and checked."""

from pathlib import Path
from typing import Any

import torch

from stillhouse.data.detection.annotations import Found, checked
from stillhouse.data.detection.box_forms import (
    CXCYWH,
    FORMS,
    SHARES,
    VOC,
    XYWH,
    XYXY,
    BoxForm,
    Format,
)
from stillhouse.data.detection.coco import is_coco, read_coco_source
from stillhouse.data.detection.image_files import unnamed
from stillhouse.data.detection.objects import is_objects, read_objects
from stillhouse.data.detection.table import BoxTable, frame_of
from stillhouse.data.detection.views import BoxViews
from stillhouse.data.detection.voc import is_voc, read_voc
from stillhouse.data.detection.yolo import is_yolo, read_yolo
from stillhouse.data.sources.find import HUB
from stillhouse.data.sources.hugging_face import is_saved
from stillhouse.data.sources.known import absent, is_known
from stillhouse.data.sources.labelled_splits import SPLITS, SourceSplits
from stillhouse.errors import DataError
from stillhouse.records.places import located

FORMATS: dict[str, str] = {
    "coco": "COCO: a folder train/ (val/, test/) of images with one JSON file of annotations in "
    "each, annotations/instances_train.json (..._val) beside train/, or one JSON file",
    "yolo": "YOLO: images/ and labels/ with data.yaml, or train/images, train/labels, val/...",
    "voc": "Pascal VOC: Annotations/*.xml, JPEGImages/ and ImageSets/Main/train.txt, or train/ "
    "with XML files beside the images",
    "objects": "Hugging Face: parquet files, save_to_disk, hf:org/name or a dataset with a column "
    "objects of bbox and category",
}
TOLD = {
    "coco": (XYWH,),
    "yolo": (CXCYWH + SHARES,),
    "voc": (VOC, XYXY),
    "objects": tuple(form for form in FORMS if form != VOC),
}
"""What the numbers of a box may be in each format; where there is one, nothing is to be said."""


def read_boxes(
    source: Any,
    *,
    longest: int | None = None,
    annotations: Format | None = None,
    boxes: BoxForm | None = None,
    image: str | None = None,
    objects: str | None = None,
    train: bool = True,
) -> SourceSplits:
    """The splits of a source of images with boxes.

    Args:
        source: a folder or file of COCO's, YOLO's or Pascal VOC's form, or a dataset of Hugging
            Face with a column ``objects``.
        longest: the longer side of images as they are shown; None: as they are.
        annotations: which format it is, where its layout fits several; None: what it looks like.
        boxes: what four numbers of a box are (`FORMS`), where the format leaves it open.
        image, objects: the columns of a dataset of Hugging Face.
        train: whether there must be a split to train on.

    Raises:
        DataError: it is none of these, or its annotations do not hold together.
    """
    if is_known(source):
        raise DataError(absent(str(source)))
    path = source if _is_hub(source) or not isinstance(source, str | Path) else located(source)
    chosen = annotations or _recognised(source, path)
    _refuse(chosen, boxes, image, objects)
    said = _read(chosen, path, boxes, image, objects)
    if train and "train" not in said.parts:
        raise DataError(f"'{_name(path)}' has no split to train on, only {', '.join(said.parts)}")
    bare = [split for split, images in said.parts.items() if not images]
    if bare:
        raise DataError(f"'{_name(path)}': {bare[0]} has no images")
    found = checked(said.parts, said.classes)
    rows = [row for images in found.parts.values() for row in images]
    frame, most = frame_of([row.size for row in rows], longest), max(len(r.boxes) for r in rows)
    tables = {
        split: BoxTable(
            torch.zeros(len(found.parts[split]), dtype=torch.int64),
            rows=tuple(found.parts[split]),
            classes=said.classes,
            frame=frame,
            longest=longest,
            views=BoxViews(),
            most=max(most, 1),
        )
        for split in SPLITS
        if split in found.parts
    }
    left = unnamed(rows)
    notes = (*said.notes, *found.notes, *([left] if left else []))
    return SourceSplits(_name(path), tables, said.classes, notes)


def _is_hub(source: Any) -> bool:
    return isinstance(source, str) and source.startswith(HUB)


def _name(source: Any) -> str:
    if isinstance(source, Path):
        return source.stem if source.is_file() else source.resolve().name
    return source if isinstance(source, str) else type(source).__name__


def _recognised(source: Any, path: Any) -> str:
    """The format whose layout it has. Raises DataError where it is of none, or of several."""
    there = isinstance(path, Path) and path.exists()
    looks = {"objects": is_objects(path)}
    if there and not is_saved(path):  # what that writes beside its tables is JSON, too
        looks |= {"coco": is_coco(path), "yolo": is_yolo(path), "voc": is_voc(path)}
    fit = [name for name in FORMATS if looks.get(name)]
    if len(fit) == 1:
        return fit[0]
    if fit:
        raise DataError(
            f"'{source}' has the layout of {' and of '.join(fit)}; say which is meant "
            f"(data.annotations: {' or '.join(fit)})"
        )
    wanted = "".join(f"\n  {line}" for line in FORMATS.values())
    shown = f"'{source}'" if isinstance(source, str | Path) else f"a {type(source).__name__}"
    missing = "" if there or not isinstance(path, Path) else ": there is nothing of this name"
    raise DataError(f"{shown} is no source of images with boxes{missing}; wanted is{wanted}")


def _refuse(chosen: str, boxes: str | None, image: str | None, objects: str | None) -> None:
    """What the format settles is not to be said again."""
    if boxes is not None and (boxes not in TOLD[chosen] or len(TOLD[chosen]) == 1):
        may = ", ".join(TOLD[chosen])
        only = f"its boxes are {may}, leave it out" if len(TOLD[chosen]) == 1 else f"give {may}"
        raise DataError(f"the annotations are {chosen}, and data.boxes is {boxes}; {only}")
    for key, value in (("image", image), ("label", objects)):
        if value is not None and chosen != "objects":
            raise DataError(f"the annotations are {chosen}, which have no columns; leave out "
                            f"data.{key}")  # fmt: skip


def _read(
    chosen: str, path: Any, boxes: str | None, image: str | None, objects: str | None
) -> Found:
    if chosen == "objects":
        return read_objects(path, image, objects, boxes)
    if not (isinstance(path, Path) and path.exists()):
        raise DataError(f"annotations are {chosen}, and there is no folder or file '{_name(path)}'")
    fits = {"coco": is_coco, "yolo": is_yolo, "voc": is_voc}[chosen]
    if not fits(path):
        raise DataError(f"'{path}' has not the layout of {FORMATS[chosen]}")
    if chosen == "voc":
        return read_voc(path, boxes)
    return read_coco_source(path) if chosen == "coco" else read_yolo(path)
