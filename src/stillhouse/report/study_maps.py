"""Heat maps of a sweep: mean test accuracy for each pair of swept settings."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from stillhouse.diagnostics.spread import spread
from stillhouse.report.study_record import StudyRecord
from stillhouse.report.theme import COLOURS, rgba

MOST = 6
"""Pairs that are shown: five swept settings have ten."""
STRONGEST = 0.55
"""Opacity of the best cell: dark text on it can still be read."""


@dataclass(frozen=True)
class Cell:
    """Mean accuracy in percent and the colour behind it; empty where there is no arm."""

    text: str = ""
    colour: str = "transparent"


@dataclass(frozen=True)
class Map:
    """One pair of settings: rows over columns."""

    down: str
    across: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    averaged: bool


def maps(record: StudyRecord) -> tuple[Map, ...]:
    """One map per pair of swept settings that both have two values or more."""
    pairs = itertools.combinations(record.swept, 2)
    found = (_map(record, down, across) for down, across in pairs)
    return tuple(each for each in found if each is not None)[:MOST]


def _map(record: StudyRecord, down: str, across: str) -> Map | None:
    cells: dict[tuple[str, str], list[float]] = {}
    for arm in record.arms:
        if arm.test is not None and down in arm.settings and across in arm.settings:
            key = (arm.settings[down], arm.settings[across])
            cells.setdefault(key, []).append(arm.test.mean)
    rows, columns = _ordered(row for row, _ in cells), _ordered(column for _, column in cells)
    if len(rows) < 2 or len(columns) < 2:
        return None
    means = {key: spread(values) for key, values in cells.items()}
    known = {key: found.mean for key, found in means.items() if found is not None}
    low, high = min(known.values()), max(known.values())

    def cell(key: tuple[str, str]) -> Cell:
        if key not in known:
            return Cell()
        share = (known[key] - low) / (high - low) if high > low else 0.0
        return Cell(f"{100 * known[key]:.2f}", rgba(COLOURS["accent"], STRONGEST * share))

    return Map(
        down,
        across,
        tuple(columns),
        tuple((row, tuple(cell((row, column)) for column in columns)) for row in rows),
        averaged=any(len(values) > 1 for values in cells.values()),
    )


def _ordered(values: Iterable[str]) -> list[str]:
    """Values once each; numbers ascending, words as they came."""
    once = list(dict.fromkeys(values))
    try:
        return sorted(once, key=float)
    except ValueError:
        return once
