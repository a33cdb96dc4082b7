"""Where data lie: a path as it is written, or a name below a folder that holds data sets."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.records.names import at_home

VARIABLE = "STILLHOUSE_DATA"
"""Of the environment: a folder of data sets, or several with the separator of PATH."""
BESIDE = Path("..", "shared", "data")
"""Where data sets are looked for after that, seen from the working directory."""
KEYS = ("source", "pairs", "weights", "start", "tokenizer")
"""Keys of a recipe that may name a file or folder of data."""


def data_places() -> list[Path]:
    """The folders in which a name is looked for, in this order; those that are not there, too."""
    given = os.environ.get(VARIABLE, "").split(os.pathsep)
    return [*(at_home(each) for each in given if each), BESIDE]


def located(source: str | os.PathLike[str]) -> Path:
    """A file or folder: as it is written, else below one of `data_places`.

    What is nowhere, or is written from the root or with a dot in front, stays as it is written.

    >>> located("no-such-data").as_posix(), located("./digits").as_posix()
    ('no-such-data', 'digits')
    """
    written = at_home(source)
    dotted = os.fspath(source).startswith(".")
    if not os.fspath(source) or written.is_absolute() or dotted or os.path.lexists(written):
        return written
    below = (place / written for place in data_places())
    return next((path for path in below if os.path.lexists(path)), written)


def looked_in() -> str:
    """Where a name was looked for, in words.

    >>> "../shared/data" in looked_in()
    True
    """
    given = os.environ.get(VARIABLE)
    said = f"{VARIABLE} ({given})" if given else f"{VARIABLE} (not set)"
    return f"the working directory, {said} and {BESIDE.as_posix()}"


def usual_path(path: str) -> str:
    """Data of `data_places` as they are called below the last of these, whichever they lie in.

    So data that are given by a path and by their name are the same data to a fingerprint.

    >>> usual_path("photos"), usual_path("../shared/data/mnist"), usual_path("hf:org/name")
    ('photos', '../shared/data/mnist', 'hf:org/name')
    """
    whole = os.path.abspath(located(path))
    for place in data_places():
        top = os.path.abspath(place)
        if whole.startswith(top + os.sep):
            return (BESIDE / os.path.relpath(whole, top)).as_posix()
    return path


def by_place(values: Any, key: str = "") -> Any:
    """Plain values of a recipe, in which data of `data_places` are called by their usual path.

    >>> by_place({"data": {"source": "../shared/data/./mnist", "size": 32}, "probe": None})
    {'data': {'source': '../shared/data/mnist', 'size': 32}, 'probe': None}
    """
    if isinstance(values, Mapping):
        return {inner: by_place(value, str(inner)) for inner, value in values.items()}
    if isinstance(values, list):
        return [by_place(value, key) for value in values]
    return usual_path(values) if isinstance(values, str) and key in KEYS else values
