"""What a source gives: a table for each split that it names, with numbered labels."""

from collections.abc import Mapping
from dataclasses import dataclass

from stillhouse.data.tables import Table

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SourceSplits:
    """The splits that a source has of its own: always `train`, maybe `validation` and `test`."""

    name: str
    parts: Mapping[str, Table]
    classes: tuple[str, ...]
