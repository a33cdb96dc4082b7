"""The verdict: did distillation help? Paired over seeds, with an interval, in plain words."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stillhouse.diagnostics.comparisons import paired_t

CONFIDENCE = 0.95
MEASURE = "test accuracy, last epoch"


@dataclass(frozen=True)
class Verdict:
    """Mean paired gain of the student over its control (fractions), and what it says.

    ``low`` and ``high`` are None with one seed: one pair has no spread to judge by.
    """

    word: str
    gain: float | None
    low: float | None
    high: float | None
    seeds: int
    gains: tuple[float, ...]
    sentence: str
    confidence: float = CONFIDENCE
    measure: str = MEASURE

    def __str__(self) -> str:
        return self.sentence

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for scores.json."""
        return {**asdict(self), "gains": list(self.gains)}


def judge(
    method: str,
    student: Sequence[float],
    control: Sequence[float],
    *,
    images: int | None = None,
) -> Verdict:
    """Compare accuracies seed by seed.

    Args:
        method: its name, for the sentence.
        student, control: accuracies in 0..1 of the same seeds in the same order; no control: empty.
        images: of the test set. Accuracies are multiples of 1 / images, so that a few gains can be
            equal by rounding alone: the interval is never narrower than rounding makes it.

    >>> verdict = judge("kd", [0.91, 0.92, 0.93], [0.90, 0.905, 0.915])
    >>> verdict.word, round(100 * verdict.gain, 2), round(100 * verdict.low, 2)
    ('helps', 1.33, 0.62)
    """
    if not control:
        return Verdict(
            "no control", None, None, None, len(student), (),
            f"{method} was run without a control, so nothing says whether it helps.",
        )  # fmt: skip
    gains = tuple(mine - theirs for mine, theirs in zip(student, control, strict=True))
    found = paired_t(gains, step=None if images is None else 1 / images)
    gain = sum(gains) / len(gains)
    points = f"{100 * gain:+.2f} points of test accuracy over the control"
    if found is None or found.low is None or found.high is None:
        return Verdict(
            "one seed", gain, None, None, 1, gains,
            f"{method}: {points} with one seed; one seed gives no interval, so this is no verdict "
            "(use at least 3).",
        )  # fmt: skip
    low, high = found.low, found.high
    word = "helps" if low > 0 else "hurts" if high < 0 else "no difference shown"
    said = f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}, {len(gains)} paired seeds"
    head = f"{method}: {word}" if word.startswith("no") else f"{method} {word}"
    return Verdict(word, gain, low, high, len(gains), gains, f"{head}: {points} ({said}).")
