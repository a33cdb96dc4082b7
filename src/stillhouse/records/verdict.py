"""The verdict of a run: a mean paired gain, its interval, what they say and what they cover."""

from stillhouse.records.schema import Record


class WithRows(Record):
    """What the rows of the test set add to a verdict over seeds.

    Args:
        rows: of the test set.
        low, high: 95 % interval for other seeds and other rows; None with one seed.
        over_seeds, over_rows: standard errors of the gain by each.
        gained, lost: with one seed, rows that only the student gets right, and only the control.
        p: of McNemar's exact test of these, two-sided.
    """

    rows: int
    low: float | None
    high: float | None
    over_seeds: float | None
    over_rows: float
    gained: int | None = None
    lost: int | None = None
    p: float | None = None


class Verdict(Record):
    """Mean paired gain of the student over its control, and what it says.

    Args:
        word: helps, hurts, no difference shown, equivalent within the margin, too few seeds to
            tell, no control.
        gain: positive: the student is better. None without a control.
        low, high: of its interval; None with one seed, which has no spread to judge by.
        seeds: pairs; without a control: students.
        gains: of each seed.
        sentence: all of it, for people.
        confidence: of the interval.
        measure: what was compared.
        p: two-sided; None with one seed.
        margin: a difference that does not matter, in the metric's own unit, unscaled.
        could_show: what so many seeds can show, in words.
        covers: what the interval covers, in words.
        with_rows: the interval for other rows as well, where the metric is a mean over rows.
    """

    word: str
    gain: float | None
    low: float | None
    high: float | None
    seeds: int
    gains: tuple[float, ...]
    sentence: str
    confidence: float
    measure: str
    p: float | None = None
    margin: float | None = None
    could_show: str = ""
    covers: str = ""
    with_rows: WithRows | None = None

    def __str__(self) -> str:
        return self.sentence
