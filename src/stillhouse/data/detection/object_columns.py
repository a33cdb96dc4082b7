"""The column of objects of a dataset of Hugging Face: which it is, and what its rows say."""

import json
from collections.abc import Mapping
from typing import Any

from stillhouse.data.sources.arrow import Piece
from stillhouse.data.sources.columns import Columns, choose_columns
from stillhouse.errors import DataError, nearest

BOXES = ("bbox", "bboxes", "boxes")
CATEGORIES = ("category", "categories", "category_id", "label", "labels", "class")
IGNORED = ("iscrowd", "is_crowd", "difficult")
IMAGE_ID = "image_id"


class ObjectTable:
    """One Arrow table: which columns it has, and what its rows say."""

    def __init__(self, file: str, table: Any, image: str | None, objects: str | None) -> None:
        self.file, self.table = file, table
        found = choose_columns(table.schema, file, image, None, labelled=False)
        self.piece = Piece(file, table, Columns(found.image, None, None))
        self.column = _objects_column(table.schema, file, objects)
        inner = _fields(table.schema.field(self.column).type)
        self.box = next(name for name in BOXES if name in inner)
        self.category = next(name for name in CATEGORIES if name in inner)
        self.names = _category_names(table.schema, self.column, self.category)

    def told(self) -> list[Mapping[str, Any]]:
        """Of each row its lists: bbox, category, and of the others those that are there."""
        wanted = {"bbox": self.box, "category": self.category, "area": "area", "id": "id"}
        known = _fields(self.table.schema.field(self.column).type)
        wanted["ignored"] = next((name for name in IGNORED if name in known), "")
        found: list[Mapping[str, Any]] = []
        for value in self.table.column(self.column).to_pylist():
            row = value or {}
            if isinstance(row, list):
                row = {name: [each[name] for each in row] for name in known}
            found.append({mine: row.get(theirs) or [] for mine, theirs in wanted.items()})
        return found

    def image_ids(self) -> list[Any]:
        """What the column ``image_id`` says, where there is one."""
        if IMAGE_ID not in self.table.column_names:
            return []
        ids: list[Any] = self.table.column(IMAGE_ID).to_pylist()
        return ids


def _objects_column(schema: Any, file: str, named: str | None) -> str:
    types = dict(zip(schema.names, schema.types, strict=True))
    fit = [
        name
        for name, kind in types.items()
        if set(BOXES) & set(_fields(kind)) and set(CATEGORIES) & set(_fields(kind))
    ]
    if named is not None and named not in types:
        raise DataError(f"{file} has no column '{named}' (data.label); {nearest(named, types)}")
    if named is None and len(fit) == 1:
        return str(fit[0])
    if named in fit:
        return str(named)
    listed = ", ".join(f"{name} ({kind})" for name, kind in types.items())
    raise DataError(
        f"{file}: {f'{len(fit)} columns' if fit else 'no column'} could hold the objects; "
        f"name one (data.label). Wanted are lists of {'/'.join(BOXES)} and "
        f"{'/'.join(CATEGORIES[:2])}; the columns are: {listed}"
    )


def _fields(kind: Any) -> list[str]:
    """The fields of a struct of lists, or of a list of structs."""
    import pyarrow as pa

    inner = kind.value_type if hasattr(kind, "value_type") else kind
    return [field.name for field in inner] if pa.types.is_struct(inner) else []


def _category_names(schema: Any, column: str, category: str) -> tuple[str, ...] | None:
    """The names of a ClassLabel, wherever below the column Hugging Face writes it."""
    text = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(text or b"{}").get("info", {}).get("features", {}).get(column)
    except (ValueError, AttributeError):
        return None
    names = _below(_below(features, category), "names")
    return tuple(map(str, names)) if isinstance(names, list) else None


def _below(node: Any, key: str) -> Any:
    """The first value of this key at any depth."""
    if isinstance(node, Mapping):
        if key in node:
            return node[key]
        return next((hit for each in node.values() if (hit := _below(each, key)) is not None), None)
    if isinstance(node, list):
        return next((hit for each in node if (hit := _below(each, key)) is not None), None)
    return None
