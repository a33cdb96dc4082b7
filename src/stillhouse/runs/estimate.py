"""What a run or a study will take, from the seconds of single steps, and how it is said."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stillhouse.cache import in_words

LONG = 30 * 60
"""Seconds from which on a shorter trial is proposed."""
TRIAL = 20 * 60
"""Seconds that such a trial takes at most."""
TRIALS = (100, 50, 20, 10, 5, 2, 1)
"""Epochs that are tried for it."""
WEIGHTS = 2
"""Files of weights that a training leaves: of its last epoch and of its best."""
PRODUCTS = 4
"""Copies of the student that a run leaves beside its trainings: two state dicts and its folder."""
CHECKPOINT = 3
"""A checkpoint in copies of the weights: weights, best weights, the optimiser's own."""


@dataclass(frozen=True)
class Part:
    """One training that is still to be done, or the recording of a teacher.

    Args:
        role: who learns, as people are told.
        key: what tells it apart: trainings of one key are one, whichever arms ask for it.
        epochs: passes over its data.
        steps: of an epoch.
        step: seconds of a step.
        scoring: seconds of scoring validation rows after an epoch.
        size: bytes of what it leaves, but for weights.
        weights: bytes of the state of the network that learns.
        own: whether its epochs are its own, whatever those of the recipe are.
        most: of its epochs, where they follow the recipe only so far (views of a teacher cache).
    """

    role: str
    key: str
    epochs: int
    steps: int
    step: float
    scoring: float = 0.0
    size: int = 0
    weights: int = 0
    own: bool = False
    most: int | None = None

    @property
    def seconds(self) -> float:
        """Of all its epochs.

        >>> Part("student", "s", epochs=10, steps=100, step=0.05, scoring=1.0).seconds
        60.0
        """
        return self.epochs * (self.steps * self.step + self.scoring)

    def with_epochs(self, epochs: int) -> "Part":
        """The same under another budget of the recipe."""
        if self.own:
            return self
        return replace(self, epochs=epochs if self.most is None else min(epochs, self.most))


@dataclass(frozen=True)
class Estimate:
    """What is still to be trained, and what it takes.

    Args:
        parts: each once.
        students: bytes of the students of each run, by its directory.
        epochs: of the recipe; None where the arms of a study differ.
        without: what was not timed, in words.
    """

    parts: tuple[Part, ...]
    students: int = 0
    epochs: int | None = None
    without: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Of all parts.

        >>> part = Part("student", "seed 0", epochs=2, steps=10, step=0.5)
        >>> Estimate((part, replace(part, key="seed 1"))).seconds
        20.0
        """
        return math.fsum(part.seconds for part in self.parts)

    @property
    def disk(self) -> int:
        """Bytes that it leaves, with the largest checkpoint while it is needed."""
        weights = [part.weights for part in self.parts]
        left = sum(part.size + WEIGHTS * part.weights for part in self.parts)
        return left + PRODUCTS * self.students + CHECKPOINT * max(weights, default=0)

    def with_epochs(self, epochs: int) -> "Estimate":
        """The same under another budget."""
        return replace(self, parts=tuple(part.with_epochs(epochs) for part in self.parts))

    def trials(self) -> list[int]:
        """Epochs of a shorter trial, the best first; none where all of it is short.

        It takes less than a third, and no more than `TRIAL` where that can be.
        """
        if self.seconds < LONG or self.epochs is None:
            return []
        fewer = {each: self.with_epochs(each).seconds for each in TRIALS if each < self.epochs}
        fits = [each for each, seconds in fewer.items() if seconds <= min(TRIAL, self.seconds / 3)]
        longer = [each for each, seconds in fewer.items() if seconds <= self.seconds / 3]
        return fits or longer[::-1]

    def told(self, trial: int | None = None) -> str:
        """In one line; ``trial``: the epochs of a shorter one that is proposed.

        >>> part = Part("student", "seed 0", epochs=60, steps=700, step=0.1, weights=10_000_000)
        >>> print(Estimate((part,), students=10_000_000, epochs=60).told(trial=5).split("; ")[0])
        forecast: about 70 min on this machine (1 student), 90 MB of disk
        """
        if not self.parts:
            return "forecast: all is trained already"
        said = f"forecast: about {about(self.seconds)} on this machine ({self._shares()})"
        said += f", {in_words(self.disk)} of disk"
        if self.without:
            said += f"; not counted: {', '.join(self.without)}"
        if trial is not None:
            shorter = about(self.with_epochs(trial).seconds)
            said += f"; --set epochs={trial}: about {shorter}"
        return said

    def _shares(self) -> str:
        """How many trainings of each role, and their time where there are several roles."""
        seconds: dict[str, list[float]] = {}
        for part in self.parts:
            seconds.setdefault(part.role, []).append(part.seconds)
        named = [(_counted(role, len(each)), sum(each)) for role, each in seconds.items()]
        if len(named) == 1:
            return named[0][0]
        return ", ".join(f"{name} {about(spent)}" for name, spent in named)


def _counted(role: str, count: int) -> str:
    return f"{count} {role}{'s' if count > 1 else ''}"


def together(estimates: Mapping[str, Estimate]) -> Estimate:
    """What the arms of a study take: trainings of one key are done once.

    >>> part = Part("control", "seed 0", epochs=2, steps=10, step=0.5)
    >>> of_arm = Estimate((part, replace(part, role="student", key="mine")), epochs=2)
    >>> other = Estimate((part, replace(part, role="student", key="theirs")), epochs=2)
    >>> together({"a": of_arm, "b": other}).seconds
    30.0
    """
    found = {part.key: part for each in estimates.values() for part in each.parts}
    epochs = {each.epochs for each in estimates.values()}
    return Estimate(
        tuple(found.values()),
        students=sum(each.students for each in estimates.values()),
        epochs=epochs.pop() if len(epochs) == 1 else None,
        without=tuple(_each_once(each.without for each in estimates.values())),
    )


def _each_once(several: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(one for each in several for one in each))


def about(seconds: float) -> str:
    """Seconds as one says them beforehand.

    >>> [about(each) for each in (0.2, 8.4, 44, 130, 3000, 10_000, 86_400, 400_000)]
    ['1 s', '8 s', '44 s', '2 min', '50 min', '2.8 h', '24 h', '4.6 days']
    >>> [about(each * 86_400) for each in (9.96, 120, 900, 4e4)]
    ['10 days', '120 days', '2.5 years', '110 years']
    """
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.2g} h"
    days = seconds / 86400
    if days < 730:
        return f"{days:.2g} days" if days < 9.95 else f"{days:.0f} days"
    years = days / 365
    return f"{years:.2g} years" if years < 9.95 else f"{float(f'{years:.2g}'):,.0f} years"
