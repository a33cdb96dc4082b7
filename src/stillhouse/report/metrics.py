"""metrics.jsonl -> epochs; other events and a torn last line are passed over."""

import json
from pathlib import Path

from stillhouse.report.record import Epoch
from stillhouse.report.values import number, numbers, readings, table, text, whole


def read_epochs(path: Path) -> tuple[tuple[Epoch, ...], int]:
    """Read the epochs of all stages and seeds, in order; none if there is no such file.

    A run that was resumed writes the epochs after its checkpoint twice: the later line counts.
    A torn last line is what a run that is being written looks like. A line torn in the middle
    is left over from a run that was killed and resumed: it is passed over and counted, so that
    the report can say so.

    Returns:
        the epochs, one training after the other as they began; and the number of unreadable
        lines before the last one.
    """
    if not path.is_file():
        return (), 0
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    found: dict[tuple[str, int | None], dict[int, Epoch]] = {}
    torn = 0
    for position, line in enumerate(lines):
        try:
            event = table(json.loads(line)) if line.strip() else {}
        except (ValueError, RecursionError):
            torn += position < len(lines) - 1
            continue
        epoch = _epoch(event)
        if epoch is not None:
            found.setdefault((epoch.stage, epoch.seed), {})[epoch.epoch] = epoch
    ordered = (run[number] for run in found.values() for number in sorted(run))
    return tuple(ordered), torn


def _epoch(event: dict[str, object]) -> Epoch | None:
    epoch = whole(event.get("epoch"))
    if event.get("event") != "epoch" or epoch is None:
        return None
    stage = text(event.get("stage"))
    return Epoch(
        stage=stage,
        seed=whole(event.get("seed")),
        epoch=epoch,
        terms=numbers(event.get("terms")),
        weights=numbers(event.get("weights")),
        accuracy=_accuracy(event.get("validation"), stage),
        diagnostics=readings(event.get("diagnostics")),
    )


def _accuracy(value: object, stage: str) -> float | None:
    """Prefer the stage's own logits; other heads are further ways of inference."""
    validation = table(value)
    for signal in (f"{stage}.logits", "student.logits", *validation):
        found = number(table(validation.get(signal)).get("accuracy"))
        if found is not None:
            return found
    return None
