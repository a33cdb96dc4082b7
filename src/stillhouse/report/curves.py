"""Epochs of several seeds -> one line with a band."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stillhouse.records.stage import Epoch
from stillhouse.report.record import RunRecord


@dataclass(frozen=True)
class Curve:
    """Mean, lowest and highest value over the seeds that reached each epoch."""

    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int


def curve(record: RunRecord, stage: str, pick: Callable[[Epoch], float | None]) -> Curve | None:
    """Gather one quantity of a stage over its seeds; None if no epoch has it.

    Args:
        record: the run.
        stage: ``student``, ``control`` or ``teacher``.
        pick: the quantity of one epoch; None leaves the epoch out for that seed.

    >>> epochs = [Epoch(stage="student", seed=n, epoch=1, terms={"kd": n / 2}) for n in (0, 1)]
    >>> curve(RunRecord("demo", epochs=epochs), "student", lambda epoch: epoch.terms["kd"]).mean
    (0.25,)
    """
    by_epoch: dict[int, list[float]] = {}
    seeds: set[int | None] = set()
    for epoch in record.epochs:
        value = pick(epoch) if epoch.stage == stage else None
        if value is not None:
            by_epoch.setdefault(epoch.epoch, []).append(value)
            seeds.add(epoch.seed)
    if not by_epoch:
        return None
    ordered = sorted(by_epoch)
    return Curve(
        epochs=tuple(ordered),
        mean=tuple(statistics.fmean(by_epoch[epoch]) for epoch in ordered),
        low=tuple(min(by_epoch[epoch]) for epoch in ordered),
        high=tuple(max(by_epoch[epoch]) for epoch in ordered),
        seeds=len(seeds),
    )


def validation_curve(record: RunRecord, stage: str) -> Curve | None:
    """Return the metric of a stage on validation against its epochs."""
    return curve(record, stage, record.validation)


def term_curve(record: RunRecord, term: str) -> Curve | None:
    """Return the unweighted value of one of the student's terms, or of a part of its own loss."""
    return curve(record, "student", lambda epoch: epoch.terms.get(term, epoch.parts.get(term)))


def weighted_curve(record: RunRecord, term: str) -> Curve | None:
    """Return weight * term of the student: what the term adds to its loss."""

    def weighted(epoch: Epoch) -> float | None:
        value, weight = epoch.terms.get(term), epoch.weights.get(term)
        return None if value is None or weight is None else weight * value

    return curve(record, "student", weighted)


def student_terms(record: RunRecord) -> tuple[str, ...]:
    """Name the student's terms and the parts of its own loss in their order."""
    epochs = [epoch for epoch in record.epochs if epoch.stage == "student"]
    terms = [name for epoch in epochs for name in epoch.terms]
    return tuple(dict.fromkeys([*terms, *(name for epoch in epochs for name in epoch.parts)]))


def term_weights(record: RunRecord, term: str) -> tuple[float, float] | None:
    """Return the first and the last weight of a term; None if no line gives one.

    >>> weights = ((epoch, {"kd": 1 / epoch}) for epoch in (1, 2, 4))
    >>> steps = [Epoch(stage="student", epoch=epoch, weights=each) for epoch, each in weights]
    >>> term_weights(RunRecord("demo", epochs=steps), "kd")
    (1.0, 0.25)
    """
    known = curve(record, "student", lambda epoch: epoch.weights.get(term))
    return None if known is None else (known.mean[0], known.mean[-1])


def last_epochs(record: RunRecord) -> Sequence[Epoch]:
    """Return the latest epoch of every stage and seed: how far a run has come."""
    latest = {(epoch.stage, epoch.seed): epoch for epoch in record.epochs}
    return tuple(latest.values())
