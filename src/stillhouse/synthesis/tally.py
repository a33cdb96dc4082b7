"""Tally: the first images of a set, counted, and the seconds they took."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.data.sources.synthesis import (
    ASKED_FOR,
    LOGITS,
    MANIFEST,
    ROWS,
    SECONDS,
    STEPS,
    TARGET,
    present,
    read_file,
    read_json,
)
from stillhouse.synthesis.balance import Balance


@dataclass(frozen=True)
class Tally:
    """Some images of a set, counted.

    Args:
        balance: what the teacher says of them, see `Balance.described`.
        seconds: that they took to make.
    """

    balance: Mapping[str, Any]
    seconds: float


def tally(folder: Path, *, count: int) -> Tally:
    """Count the first images of a finished synthesis."""
    manifest = read_json(folder / MANIFEST)
    if count == manifest["count"]:
        return Tally(manifest["balance"], float(manifest["seconds"]))
    temperature = float(manifest["balance"]["temperature"])
    return counted(folder, len(manifest["classes"]), temperature, count)


def counted(folder: Path, classes: int, temperature: float, count: int) -> Tally:
    """Count the first images that are there, finished or not."""
    balance, seconds = Balance(classes, temperature=temperature), 0.0
    for (first, _), path in present(folder, ROWS).items():
        if first >= count:
            break
        held = {key: value[: count - first] for key, value in read_file(path).items()}
        balance.add(held[LOGITS], held.get(TARGET), held[ASKED_FOR], held[STEPS])
        seconds += float(held[SECONDS].double().sum())
    return Tally(balance.described(), seconds)
