"""Columns: which one of an Arrow table holds the images and which the labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.errors import DataError, nearest

LABEL_NAMES = (
    "label",
    "labels",
    "fine_label",
    "target",
    "class",
    "cls",
)  # in this order of preference


@dataclass(frozen=True)
class Columns:
    """The columns that are read, and the names of the classes where the file has them.

    ``label`` is None where no labels are read.
    """

    image: str
    label: str | None
    classes: tuple[str, ...] | None


def choose_columns(
    schema: Any, file: str, image: str | None, label: str | None, *, labelled: bool = True
) -> Columns:
    """Choose the columns of one file or dataset by their types.

    The image column is the only one whose type is a struct with `bytes` (as Hugging Face writes
    images), or else the only one of raw bytes. The label column is the only one of whole numbers
    or text; of several, the first that is called as in `LABEL_NAMES`.

    Args:
        schema: the `pyarrow.Schema`.
        file: how messages name the file.
        image: the image column, where the user named it (recipe key `data.image`).
        label: the label column, where the user named it (recipe key `data.label`).
        labelled: whether labels are read at all.

    Raises:
        DataError: a named column that is not there or cannot be what it should; no candidate or
            several of them.
    """
    import pyarrow as pa

    types = dict(zip(schema.names, schema.types, strict=True))
    structs = [name for name, kind in types.items() if has_bytes(kind)]
    raw = [name for name, kind in types.items() if _is_raw(kind)]
    chosen = _choose("image", image, structs or raw, structs + raw, types, file)
    if not labelled:
        return Columns(chosen, None, None)
    labels = [name for name, kind in types.items() if pa.types.is_integer(kind) or is_text(kind)]
    preferred = [name for name in LABEL_NAMES if name in labels][:1]
    target = _choose("label", label, preferred or labels, labels, types, file)
    return Columns(chosen, target, class_names(schema, target, file))


def _choose(
    role: str,
    named: str | None,
    candidates: Sequence[str],
    possible: Sequence[str],
    types: Mapping[str, Any],
    file: str,
) -> str:
    listed = ", ".join(f"{name} ({kind})" for name, kind in types.items())
    wanted = "bytes or a struct with bytes" if role == "image" else "whole numbers or text"
    if named is not None:
        if named not in types:
            raise DataError(f"{file} has no column '{named}' ({role}=); {nearest(named, types)}")
        if named not in possible:
            raise DataError(
                f"{file}: column '{named}' ({role}=) is {types[named]}; a column of {role}s holds "
                f"{wanted}. The columns are: {listed}"
            )
        return named
    if len(candidates) == 1:
        return candidates[0]
    found = f"{len(candidates)} columns" if candidates else "no column"
    which = f" ({', '.join(candidates)})" if candidates else ""
    raise DataError(
        f"{file}: {found} could hold the {role}s{which}; say {role}= (recipe key data.{role}). "
        f"Wanted is {wanted}; the columns are: {listed}"
    )


def has_bytes(kind: Any) -> bool:
    """Whether a column of this Arrow type holds images as Hugging Face writes them."""
    import pyarrow as pa

    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def _is_raw(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def is_text(kind: Any) -> bool:
    """Whether a column of this Arrow type holds text, plain or as categories."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def class_names(schema: Any, label: str, file: str) -> tuple[str, ...] | None:
    """Read the names of a ClassLabel column from the metadata that Hugging Face writes."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    try:
        names = json.loads(text).get("info", {}).get("features", {}).get(label, {}).get("names")
        if names is None:
            return None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("names are not a list of text")
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(
            f"{file}: the metadata 'huggingface' is not as Hugging Face writes it ({error}); "
            "write the file anew with datasets, or without this metadata"
        ) from error
    if len(set(names)) < len(names):
        raise DataError(f"{file}: the metadata names a class of column '{label}' twice")
    return tuple(names)
