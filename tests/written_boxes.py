"""The same images and boxes written in each of the four formats, independently of the readers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZES = ((40, 20), (30, 50), (64, 48))
NAMES = ("bar", "square")
Box = tuple[int, int, int, int, int, int]
"""Class, left, top, right, bottom in whole pixels, and whether it is a crowd or difficult."""
Rows = Sequence[Sequence[Box]]
SPLITS: dict[str, Rows] = {
    "train": [[(0, 4, 2, 14, 8, 0), (1, 0, 0, 40, 20, 0)], [], [(1, 7, 9, 33, 41, 0)]],
    "test": [[(1, 1, 1, 3, 5, 0)], [(0, 11, 13, 30, 50, 0), (0, 2, 2, 9, 9, 0)]],
}


def picture(split: str, at: int) -> Image.Image:
    """An image of its own, of the size of its place."""
    made = np.random.default_rng([len(split), at])
    width, height = SIZES[at]
    return Image.fromarray(made.integers(0, 256, (height, width, 3), dtype=np.uint8))


def saved(folder: Path, split: str, at: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    picture(split, at).save(folder / f"{split}{at}.png")
    return folder / f"{split}{at}.png"


def as_coco(root: Path, splits: dict[str, Rows] = SPLITS) -> Path:
    for split, rows in splits.items():
        images = [{"id": at, "file_name": saved(root / split, split, at).name}
                  for at in range(len(rows))]  # fmt: skip
        boxes = [
            {"image_id": at, "category_id": 5 + number, "bbox": [x, y, right - x, bottom - y],
             "iscrowd": crowd}
            for at, row in enumerate(rows) for number, x, y, right, bottom, crowd in row
        ]  # fmt: skip
        told = [{"id": at, **box} for at, box in enumerate(boxes)]
        names = [{"id": 5 + at, "name": name} for at, name in enumerate(NAMES)]
        text = json.dumps({"images": images, "annotations": told, "categories": names})
        (root / split / "coco.json").write_text(text)
    return root


def as_yolo(root: Path, splits: dict[str, Rows] = SPLITS) -> Path:
    for split, rows in splits.items():
        (root / "labels" / split).mkdir(parents=True)
        for at, row in enumerate(rows):
            image = saved(root / "images" / split, split, at)
            width, height = SIZES[at]
            lines = [
                f"{number} {(x + right) / 2 / width!r} {(y + bottom) / 2 / height!r} "
                f"{(right - x) / width!r} {(bottom - y) / height!r}"
                for number, x, y, right, bottom, _ in row
            ]
            if lines:
                (root / "labels" / split / f"{image.stem}.txt").write_text("\n".join(lines) + "\n")
    (root / "data.yaml").write_text(f"names: {json.dumps(dict(enumerate(NAMES)))}\n")
    return root


def as_voc(root: Path, splits: dict[str, Rows] = SPLITS) -> Path:
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (root / "Annotations").mkdir()
    for split, rows in splits.items():
        names = [saved(root / "JPEGImages", split, at).stem for at in range(len(rows))]
        (lists / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name, row in zip(names, rows, strict=True):
            objects = "".join(
                f"<object><name>{NAMES[number]}</name><difficult>{hard}</difficult><bndbox>"
                f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
                "</bndbox></object>"
                for number, x, y, right, bottom, hard in row
            )
            text = f"<annotation><filename>{name}.png</filename>{objects}</annotation>"
            (root / "Annotations" / f"{name}.xml").write_text(text)
    return root


def as_objects(splits: dict[str, Rows] = SPLITS, *, pairs: bool = False, ids: bool = True) -> Any:
    """A DatasetDict of Hugging Face; ``pairs``: of lists of objects, not of lists of values."""
    import datasets

    inner = {"bbox": datasets.List(datasets.Value("float32"), length=4),
             "category": datasets.ClassLabel(names=list(NAMES)),
             "iscrowd": datasets.Value("bool"), "id": datasets.Value("int64")}  # fmt: skip
    of = datasets.List(inner) if pairs else {n: datasets.List(kind) for n, kind in inner.items()}
    features = datasets.Features({"image": datasets.Image(), "objects": of})
    found, number = {}, 0
    for split, rows in splits.items():
        told = []
        for at, row in enumerate(rows):
            objects = []
            for kind, x, y, right, bottom, crowd in row:
                objects.append({"bbox": [x, y, right - x, bottom - y], "category": kind,
                                "iscrowd": bool(crowd), "id": number if ids else 0})  # fmt: skip
                number += 1
            lists = {name: [each[name] for each in objects] for name in inner}
            told.append({"image": picture(split, at), "objects": objects if pairs else lists})
        found[split] = datasets.Dataset.from_list(told, features=features)
    return datasets.DatasetDict(found)
