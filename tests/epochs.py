"""Lines of metrics.jsonl by hand."""

from typing import Any

from stillhouse.records.stage import Epoch


def epoch(stage: str, seed: int, number: int, value: float | None = None, **more: Any) -> Epoch:
    """A line of metrics.jsonl; ``value`` is its accuracy on validation."""
    validation = {} if value is None else {"student": {"accuracy": value}}
    return Epoch(stage=stage, seed=seed, epoch=number, validation=validation, **more)
