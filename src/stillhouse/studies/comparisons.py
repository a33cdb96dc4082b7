"""The comparisons of a study's arms: with their controls, and with one arm."""

from collections.abc import Container, Mapping, Sequence

from stillhouse.records.metric import ACCURACY, Metric
from stillhouse.records.run import SeedScores
from stillhouse.records.study import Arm, Comparison
from stillhouse.verdict.judgement import Judgement, judged
from stillhouse.verdict.paired import Paired, paired


def compared(
    arms: Sequence[Arm],
    against: str | None,
    metric: Metric,
    *,
    steps: Mapping[str, float | None],
    same_test: Container[str],
    claims: Sequence[str] = (),
    margin: float | None = None,
) -> tuple[Arm, ...]:
    """The arms with their gains over control and over one arm; each column is judged together.

    Args:
        arms: with the scores of their runs and controls.
        against: the arm that others are compared with, or None.
        metric: that they are measured by.
        steps: what the values of an arm are multiples of, by its name; None: of nothing.
        same_test: the arms whose test rows are those of that arm.
        claims: arms whose comparisons are corrected by themselves.
        margin: a difference that does not matter, unscaled as the values are.
    """
    last = {arm.name: last_by_seed(arm.runs) for arm in arms}
    over_control: dict[str, Paired | None] = {}
    over_arm: dict[str, Paired | None] = {}
    for arm in arms:
        name, mine, step = arm.name, last[arm.name], steps.get(arm.name)
        alone = differences(mine, last_by_seed(arm.controls), metric)
        over_control[name] = paired(alone, step=step)
        if against is not None and against != name and name in same_test:
            over_arm[name] = paired(differences(mine, last[against], metric), step=step)
    gains = comparisons(over_control, claims, margin)
    rival_gains = comparisons(over_arm, claims, margin)
    return tuple(
        arm.model_copy(update={"gain": gains[arm.name], "over_against": rival_gains.get(arm.name)})
        for arm in arms
    )


def comparisons(
    column: Mapping[str, Paired | None], claims: Sequence[str] = (), margin: float | None = None
) -> dict[str, Comparison | None]:
    """What is said of each arm of a column, judged together; claims are corrected by themselves."""
    primary = [name in claims for name in column] if claims else None
    found = judged(list(column.values()), primary=primary, margin=margin)
    return {name: _said(one) for name, one in zip(column, found, strict=True)}


def _said(found: Judgement | None) -> Comparison | None:
    if found is None:
        return None
    return Comparison(
        mean=found.mean,
        low=found.low,
        high=found.high,
        p=found.p,
        p_holm=found.p_corrected,
        p_equivalent=found.p_equivalent,
        word=found.word,
        seeds=found.count,
    )


def differences(
    mine: Mapping[int, float], theirs: Mapping[int, float], metric: Metric = ACCURACY
) -> list[float]:
    """How much better mine are, over the seeds that both have.

    >>> differences({0: 0.75, 1: 0.5}, {1: 0.25})
    [0.25]
    """
    return [metric.gain(value, theirs[seed]) for seed, value in mine.items() if seed in theirs]


def last_by_seed(runs: Sequence[SeedScores]) -> dict[int, float]:
    """The test metric of the last epoch, by seed."""
    return {run.seed: run.test.last for run in runs if run.test.last is not None}
