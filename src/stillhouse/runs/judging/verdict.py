"""The verdict: did distillation help? Paired over seeds, with an interval, in plain words."""

from collections.abc import Sequence

from stillhouse.diagnostics.significance import paired_t
from stillhouse.records.metric import ACCURACY, Metric
from stillhouse.records.run import Verdict

CONFIDENCE = 0.95


def judge(
    method: str,
    student: Sequence[float],
    control: Sequence[float],
    *,
    metric: Metric = ACCURACY,
    images: int | None = None,
) -> Verdict:
    """Compare the values of a metric seed by seed.

    Args:
        method: its name, for the sentence.
        student, control: values of the same seeds in the same order; no control: empty.
        metric: whose values they are; a gain is positive where the student is better.
        images: of the test set, where values are shares of it, and so multiples of 1 / images. A
            few gains can be equal by rounding alone: the interval is never narrower than rounding
            makes it.

    >>> verdict = judge("kd", [0.91, 0.92, 0.93], [0.90, 0.905, 0.915])
    >>> verdict.word, round(100 * verdict.gain, 2), round(100 * verdict.low, 2)
    ('helps', 1.33, 0.62)
    """
    if not control:
        said = f"{method} was run without a control, so nothing says whether it helps."
        return _verdict(metric, "no control", said, seeds=len(student))
    gains = tuple(metric.gain(m, t) for m, t in zip(student, control, strict=True))
    found = paired_t(gains, step=None if images is None else 1 / images)
    gain = sum(gains) / len(gains)
    points = f"{metric.difference(gain, minus='-')} of test {metric.name} over the control"
    if found is None or found.low is None or found.high is None:
        said = (
            f"{method}: {points} with one seed; one seed gives no interval, so this is no verdict "
            "(use at least 3)."
        )
        return _verdict(metric, "one seed", said, seeds=1, gain=gain, gains=gains)
    ends = (found.low, found.high)
    word = "helps" if found.low > 0 else "hurts" if found.high < 0 else "no difference shown"
    low, high = (metric.signed(end, minus="-") for end in ends)
    head = f"{method}: {word}" if word.startswith("no") else f"{method} {word}"
    said = f"{head}: {points} (95 % interval {low} to {high}, {len(gains)} paired seeds)."
    return _verdict(metric, word, said, seeds=len(gains), gain=gain, ends=ends, gains=gains)


def _verdict(
    metric: Metric,
    word: str,
    sentence: str,
    *,
    seeds: int,
    gain: float | None = None,
    ends: tuple[float, float] | None = None,
    gains: tuple[float, ...] = (),
) -> Verdict:
    return Verdict(
        word=word,
        gain=gain,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        seeds=seeds,
        gains=gains,
        sentence=sentence,
        confidence=CONFIDENCE,
        measure=f"test {metric.name}, last epoch",
    )
