"""How far a whole run or study is, counted in students, and how long the rest will take."""

import time
from collections.abc import Callable

CONTROL, STUDENT = "control", "student"
LEAST = 0.01
"""Share of the whole before which nothing is said of the rest."""


class Whole:
    """Counts students, and the share of the one that is being trained.

    A student with a control is two trainings of half its share each. What was found finished took
    no time, and is no measure of the rest.

    Args:
        clock: gives seconds.

    >>> now = iter([0.0, 30.0])
    >>> whole = Whole(clock=lambda: next(now))
    >>> whole.overall(0, 3); whole.begin("student", 100, 0); whole.steps(50)
    >>> round(whole.share, 3), whole.left()  # half of a student took 30 s, two and a half are left
    (0.167, 150.0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done, self._total = 0, 1
        self._stage, self._total_steps, self._steps = "", 1, 0
        self._controlled = False
        self._began: tuple[float, float] | None = None  # when, at which share

    def overall(self, done: int, total: int) -> None:
        """So many students of all are done."""
        grown = done - self._done
        self._done, self._total = done, max(total, 1)
        if self._stage == STUDENT:
            self._controlled = False
        self._stage = ""
        if grown > 1:  # found finished: the clock starts anew
            self._began = None

    def begin(self, stage: str, steps: int, done: int) -> None:
        """A training begins, or goes on from a step."""
        self._controlled = stage == CONTROL or (self._controlled and stage == STUDENT)
        self._stage, self._total_steps, self._steps = stage, max(steps, 1), done
        if stage in (CONTROL, STUDENT) and done < steps and self._began is None:
            self._began = self._clock(), self.share

    def steps(self, count: int = 1) -> None:
        """So many steps of it were made."""
        self._steps += count

    @property
    def share(self) -> float:
        """Of all students, from 0 to 1."""
        part = min(self._steps / self._total_steps, 1.0)
        if self._stage == CONTROL:
            part /= 2
        elif self._stage == STUDENT:
            part = 0.5 + part / 2 if self._controlled else part
        else:
            part = 0.0
        return min((self._done + part) / self._total, 1.0)

    def left(self) -> float | None:
        """Seconds until all are done, as the time since the first began tells; None: too early."""
        if self._began is None:
            return None
        began, before = self._began
        gained = self.share - before
        if gained * self._total < LEAST:
            return None
        return (self._clock() - began) / gained * (1 - self.share)
