"""The verdict: did distillation help? Paired over seeds, with an interval, in plain words."""

from collections.abc import Sequence

from stillhouse.records.metric import ACCURACY, Metric
from stillhouse.records.verdict import Verdict
from stillhouse.verdict.judgement import (
    CONFIDENCE,
    EQUIVALENT,
    HELPS,
    HURTS,
    LEAST,
    NO_CONTROL,
    TOO_FEW,
    judged,
)
from stillhouse.verdict.paired import paired
from stillhouse.verdict.power import shown_by


def judge(
    method: str,
    student: Sequence[float],
    control: Sequence[float],
    *,
    metric: Metric = ACCURACY,
    images: int | None = None,
    margin: float | None = None,
) -> Verdict:
    """Compare the values of a metric seed by seed; the words are those of an arm of a study.

    Args:
        method: its name, for the sentence.
        student, control: values of the same seeds in the same order; no control: empty.
        metric: whose values they are; a gain is positive where the student is better.
        images: of the test set, where values are shares of it, and so multiples of 1 / images. A
            few gains can be equal by rounding alone: the interval is never narrower than rounding
            makes it.
        margin: a difference that does not matter, unscaled as the values are; said before.

    >>> verdict = judge("kd", [0.91, 0.92, 0.93], [0.90, 0.905, 0.915])
    >>> verdict.word, round(100 * verdict.gain, 2), round(100 * verdict.low, 2)
    ('helps', 1.33, 0.62)
    """
    if not control:
        said = f"{method} was run without a control, so nothing says whether it helps."
        return Verdict(
            word=NO_CONTROL,
            gain=None,
            low=None,
            high=None,
            seeds=len(student),
            gains=(),
            sentence=said,
            confidence=CONFIDENCE,
            measure=_measure(metric),
            margin=margin,
        )
    gains = tuple(metric.gain(m, t) for m, t in zip(student, control, strict=True))
    (found,) = judged([paired(gains, step=None if images is None else 1 / images)], margin=margin)
    if found is None:
        raise ValueError("no value to compare")
    count = len(gains)
    points = metric.over(found.mean, minus="-")
    seeds = "one seed" if count == 1 else f"{count} paired seeds"
    ends = metric.span(found.low, found.high, minus="-")
    interval = "" if found.low is None else f"95 % interval {ends}, "
    head = f"{method} {found.word}" if found.word in (HELPS, HURTS) else f"{method}: {found.word}"
    if found.word == EQUIVALENT and margin is not None:
        head += f" of {metric.difference(margin).lstrip('+')}"
    said = f"{head}: {points} ({interval}{seeds}"
    said += f"; use at least {LEAST})." if found.word == TOO_FEW else ")."
    return Verdict(
        word=found.word,
        gain=found.mean,
        low=found.low,
        high=found.high,
        seeds=count,
        gains=gains,
        sentence=said,
        confidence=CONFIDENCE,
        measure=_measure(metric),
        p=found.p,
        could_show=shown_by(count),
        margin=margin,
    )


def _measure(metric: Metric) -> str:
    return f"test {metric.name}, last epoch"
