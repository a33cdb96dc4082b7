"""Metrics: what a run is measured by, in which direction, and how its numbers are said."""

from stillhouse.records.schema import Record

NOTHING, MINUS = "\u2013", "\u2212"
"""What stands where there is no number, and before one that is negative."""


class Metric(Record):
    """A number by which networks are compared, and how it is said.

    Args:
        name: such as 'accuracy'.
        unit: of values as they are shown: '%', 'nats'; may be empty.
        scale: of values as they are shown; values are kept unscaled.
        higher_is_better: the direction.
        share: whether it is a share of rows, and so a multiple of one row.

    >>> Metric(name="error", unit="m", higher_is_better=False).gain(1.0, 3.0)
    2.0
    """

    name: str
    unit: str = ""
    scale: float = 1.0
    higher_is_better: bool = True
    share: bool = False

    @property
    def difference_unit(self) -> str:
        """The unit of a difference: two percentages differ by points.

        >>> ACCURACY.difference_unit
        'points'
        """
        return "points" if self.unit == "%" else self.unit

    @property
    def title(self) -> str:
        """The name at the beginning of a sentence.

        >>> ACCURACY.title, Metric(name="EER").title
        ('Accuracy', 'EER')
        """
        return self.name[:1].upper() + self.name[1:]

    @property
    def suffix(self) -> str:
        """The unit as it stands behind a number."""
        return self.unit if self.unit in ("", "%") else f" {self.unit}"

    def shown(self, value: float | None, digits: int = 2) -> str:
        """A value, without its unit.

        >>> ACCURACY.shown(0.9563), ACCURACY.shown(None)
        ('95.63', '–')
        """
        return NOTHING if value is None else f"{self.scale * value:.{digits}f}"

    def with_unit(self, value: float | None, digits: int = 2) -> str:
        """A value with its unit.

        >>> ACCURACY.with_unit(0.9563)
        '95.63%'
        """
        return NOTHING if value is None else f"{self.shown(value, digits)}{self.suffix}"

    def signed(self, value: float | None, *, minus: str = MINUS) -> str:
        """A difference with its sign, without its unit; not every terminal can write our minus.

        >>> ACCURACY.signed(0.0123), ACCURACY.signed(-0.004), ACCURACY.signed(-0.00001)
        ('+1.23', '−0.40', '0.00')
        """
        if value is None:
            return NOTHING
        rounded = round(self.scale * value, 2)
        sign = "+" if rounded > 0 else minus if rounded < 0 else ""
        return f"{sign}{abs(rounded):.2f}"

    def difference(self, value: float | None, *, minus: str = MINUS) -> str:
        """A difference in its unit.

        >>> ACCURACY.difference(0.0123)
        '+1.23 points'
        """
        return f"{self.signed(value, minus=minus)} {self.difference_unit}".rstrip()

    def change(self, gain: float | None, *, minus: str = MINUS) -> str:
        """A gain in its unit: with its sign, and in words where less is better.

        >>> error = Metric(name="error", unit="%", scale=100.0, higher_is_better=False)
        >>> ACCURACY.change(0.0123), error.change(0.0123), error.change(-0.0123)
        ('+1.23 points', '1.23 points lower', '1.23 points higher')
        """
        if self.higher_is_better or gain is None:
            return self.difference(gain, minus=minus)
        far = self.difference(abs(gain)).lstrip("+")
        return f"{far} {self._moved(gain)}"

    def moved(self, gain: float | None, *, minus: str = MINUS) -> str:
        """The same without the unit.

        >>> error = Metric(name="error", unit="%", scale=100.0, higher_is_better=False)
        >>> ACCURACY.moved(0.0123), error.moved(0.0123)
        ('+1.23', '1.23 lower')
        """
        if self.higher_is_better or gain is None:
            return self.signed(gain, minus=minus)
        return f"{self.signed(abs(gain)).lstrip('+')} {self._moved(gain)}"

    def _moved(self, gain: float) -> str:
        rounded = round(self.scale * gain, 2)
        return "apart" if rounded == 0 else "lower" if rounded > 0 else "higher"

    @property
    def beside(self) -> str:
        """How a column of gains begins: over the control, or against it where less is better."""
        return "over" if self.higher_is_better else "against"

    def span(self, low: float | None, high: float | None, *, minus: str = MINUS) -> str:
        """The ends of an interval of a gain, as `change` says it, without the unit.

        >>> error = Metric(name="error", unit="%", scale=100.0, higher_is_better=False)
        >>> ACCURACY.span(0.01, 0.02), error.span(0.01, 0.02), error.span(-0.01, 0.02)
        ('+1.00 to +2.00', '1.00 to 2.00 lower', '1.00 higher to 2.00 lower')
        """
        ends = [self.signed(end, minus=minus) for end in (low, high)]
        if self.higher_is_better or low is None or high is None:
            return " to ".join(ends)
        first, last = (end.lstrip(f"+{minus}") for end in ends)
        below, above = (round(self.scale * end, 2) for end in (low, high))
        if below >= 0:
            return f"{first} to {last} lower"
        return f"{first} higher to {last} lower" if above > 0 else f"{last} to {first} higher"

    def over(self, gain: float | None, than: str = "the control", *, minus: str = MINUS) -> str:
        """How much better a test value is than that of another network, in words.

        >>> error = Metric(name="error", unit="%", scale=100.0, higher_is_better=False)
        >>> ACCURACY.over(0.0123)
        '+1.23 points of test accuracy over the control'
        >>> error.over(0.0123)
        "test error 1.23 points lower than the control's"
        """
        said = self.change(gain, minus=minus)
        if self.higher_is_better:
            return f"{said} of test {self.name} over {than}"
        joined = "from" if said.endswith("apart") else "than"
        return f"test {self.name} {said} {joined} {than}'s"

    def gain(self, mine: float, theirs: float) -> float:
        """How much better mine is: positive means better, whichever way the metric goes.

        >>> ACCURACY.gain(0.75, 0.5)
        0.25
        """
        return mine - theirs if self.higher_is_better else theirs - mine

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value is better than another one; any number is better than nan.

        >>> ACCURACY.is_better(0.5, float("nan")), ACCURACY.is_better(float("nan"), 0.5)
        (True, False)
        """
        return self.gain(value, than) > 0 or (than != than and value == value)

    def reached(self, value: float, target: float) -> bool:
        """Whether a value is as good as a target."""
        return not self.is_better(target, value)

    @property
    def better(self) -> str:
        """How one says of a network that its value is better."""
        return "more accurate" if self.name == ACCURACY.name else "better"

    @property
    def as_good(self) -> str:
        """How one says of a network that its value is no worse."""
        return "as accurate" if self.name == ACCURACY.name else "as good"


ACCURACY = Metric(name="accuracy", unit="%", scale=100.0, share=True)


class TaskRecord(Record):
    """What the labels of a run mean, and what it is measured by."""

    name: str
    metric: Metric


CLASSIFICATION = TaskRecord(name="classification", metric=ACCURACY)
