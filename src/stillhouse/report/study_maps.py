"""Heat maps of a sweep: the mean of the test metric for each pair of swept settings."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from stillhouse.report.shades import shade
from stillhouse.report.study_record import StudyRecord, settings_of, tested
from stillhouse.verdict.spread import spread

MOST = 6
"""Pairs that are shown: five swept settings have ten."""


@dataclass(frozen=True)
class Cell:
    """The mean, and the shade behind it: stronger where it is better; empty without an arm."""

    text: str = ""
    shade: int = 0


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
        found, settings = tested(arm.runs), settings_of(arm)
        if found is not None and down in settings and across in settings:
            cells.setdefault((settings[down], settings[across]), []).append(found.mean)
    rows, columns = _ordered(row for row, _ in cells), _ordered(column for _, column in cells)
    if len(rows) < 2 or len(columns) < 2:
        return None
    means = {key: spread(values) for key, values in cells.items()}
    known = {key: found.mean for key, found in means.items() if found is not None}
    low, high = min(known.values()), max(known.values())
    worst = low if record.metric.higher_is_better else high

    def cell(key: tuple[str, str]) -> Cell:
        if key not in known:
            return Cell()
        share = record.metric.gain(known[key], worst) / (high - low) if high > low else 0.0
        return Cell(record.metric.shown(known[key]), shade(share))

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
