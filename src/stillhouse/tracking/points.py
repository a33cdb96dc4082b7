"""The numbers of an epoch as a tracker draws them."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from stillhouse.records.names import slug

GROUPS = {"term": "terms", "part": "parts", "weight": "weights", "diagnostic": "diagnostics"}
"""Of curves, by what a line calls them."""


def points(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a line of metrics.jsonl by the names of their curves.

    The first measure is that of the network that the training is for, so that a control and a
    student lie in one chart; further ones have their label. What is no number has no point.

    Args:
        record: of an epoch: loss, terms, parts, weights, lr, validation, diagnostics.

    >>> found = points({
    ...     "epoch": 2, "loss": 0.5, "lr": 0.1, "terms": {"kd": 0.25, "label": float("nan")},
    ...     "validation": {"student": {"accuracy": 0.75}, "ema": {"accuracy": 0.8}}})
    >>> found["loss"], found["term/kd"], found["validation/accuracy"]
    (0.5, 0.25, 0.75)
    >>> sorted(found)
    ['loss', 'lr', 'term/kd', 'validation/accuracy', 'validation/ema/accuracy']
    """
    found: dict[str, float] = {}
    for name, value in _named(record):
        if isinstance(value, int | float) and math.isfinite(value):
            found[_free(name, found)] = float(value)
    return found


def _named(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("loss", "lr", "images_per_second"):
        yield name, record.get(name)
    for group, inside in GROUPS.items():
        for name, value in record.get(inside, {}).items():
            yield f"{group}/{plain(name)}", value
    for position, (label, scores) in enumerate(record.get("validation", {}).items()):
        place = f"validation/{plain(label)}" if position else "validation"
        for name, value in scores.items():
            yield f"{place}/{plain(name)}", value


def plain(name: str) -> str:
    """A name that every tracker takes: letters, digits, ``_``, ``.`` and ``-``.

    >>> plain("TAR at FAR = 0.01")
    'TAR-at-FAR-0.01'
    """
    return slug(name, also="_.")


def _free(name: str, taken: Mapping[str, float]) -> str:
    """The name, or with a number where another one became the same."""
    count, found = 2, name
    while found in taken:
        found, count = f"{name}-{count}", count + 1
    return found
