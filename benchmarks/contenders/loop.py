"""A training that is pulled a block of steps or a whole epoch at a time."""

from collections.abc import Callable, Iterator

Epoch = Iterator[int]
"""Makes one optimiser step per item; the item is the number of images of that step."""


class Loop:
    """A training of a contender; nothing runs between the calls but the prefetch of its workers.

    That prefetch (two batches per worker) is why short blocks flatter a contender with workers, and
    slow whoever is measured after it: for a fair number measure ``epoch()``, which starts with
    empty queues and ends with idle workers.

    Args:
        training: makes the epochs of a training; what it holds (a loader with persistent workers)
            lives until ``close``.
    """

    def __init__(self, training: Callable[[], Iterator[Epoch]]) -> None:
        self._training = training
        self._epochs: Iterator[Epoch] | None = None
        self._steps: Epoch = iter(())

    def __call__(self, steps: int) -> None:
        """Make so many optimiser steps, on into the next epochs where one ends."""
        for _ in range(steps):
            if next(self._steps, 0) == 0:
                self._begin()
                next(self._steps)

    def epoch(self) -> int:
        """Train one epoch from its first batch on and return the number of images it showed.

        Includes the start of the loader's workers where the contender starts them for the epoch;
        after ``close`` every contender does.
        """
        self._begin()
        return sum(self._steps)

    def close(self) -> None:
        """Stop the workers; the next step or epoch starts new ones. The student goes on."""
        self._steps = iter(())
        self._epochs = None

    def _begin(self) -> None:
        self._steps = iter(())  # stops the workers of an epoch that was left in the middle
        if self._epochs is None:
            self._epochs = self._training()
        self._steps = next(self._epochs)
