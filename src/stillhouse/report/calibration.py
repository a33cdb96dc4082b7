"""Calibration of teacher, control and student: are they right as often as they say?"""

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.diagnostics.calibration import Reliability, reliability
from stillhouse.records.run import ModelRecord
from stillhouse.report.record import RunRecord
from stillhouse.verdict.spread import spread

LOSS = "loss"


@dataclass(frozen=True)
class Calibrated:
    """One role; numbers are means over its seeds.

    Args:
        error: the expected calibration error, 15 bins of equal width.
        nll: cross-entropy on the test set, nats.
        temperature: by which its logits are to be divided; None where it is not known.
        curve: of the rows of all seeds together.
    """

    role: str
    error: float
    nll: float
    temperature: float | None
    curve: Reliability

    @property
    def sentence(self) -> str:
        """What the temperature says."""
        if self.temperature is None:
            return ""
        if self.temperature > 1.1:
            return f"too sure of itself: divide its logits by {self.temperature:.2f}"
        if self.temperature < 0.9:
            return f"not sure enough: divide its logits by {self.temperature:.2f}"
        return "about as sure as it is right"


def calibrated(record: RunRecord) -> tuple[Calibrated, ...]:
    """How well each role knows what it knows; empty where the run does not tell."""
    answers = record.answers
    if answers is None:
        return ()
    found = (_of(record, model) for model in record.models)
    return tuple(each for each in found if each is not None)


def _of(record: RunRecord, model: ModelRecord) -> Calibrated | None:
    import torch

    answers = record.answers
    if answers is None:
        return None
    sure, loss = (list(answers.seeds(model.role, kind).values()) for kind in ("confidence", LOSS))
    right = list(answers.right(model.role, record.metric).values())
    if not sure or len(sure) != len(right) or not loss:
        return None
    errors = [reliability(a, b).error for a, b in zip(sure, right, strict=True)]
    return Calibrated(
        model.role,
        _mean(errors),
        _mean([each.double().mean().item() for each in loss]),
        _temperature(model),
        reliability(torch.cat(sure), torch.cat(right)),
    )


def _temperature(model: ModelRecord) -> float | None:
    found = spread(run.temperature for run in model.runs)
    return found.mean if found else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
