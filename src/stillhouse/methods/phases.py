"""Phases: weights of terms that hold in the first share of the training, or after it.

Where a published method pre-trains with one loss and then trains with another, the two are phases
of one training here, so that its budget is that of its control.
"""

from stillhouse.engine.terms import OverTraining, Weight

STAGE_ONE = 0.125
"""30 of 240 epochs: what the benchmark of CRD gives first stages, there before the 240."""


def at_first(weight: float, *, share: float) -> Weight:
    """A weight that holds in the first share of the training, then 0.

    >>> hint = at_first(100.0, share=0.25)
    >>> hint.at(0.2), hint.at(0.25)
    (100.0, 0.0)
    """
    return OverTraining(lambda done: weight if done < share else 0.0)


def afterwards(weight: float, *, share: float) -> Weight:
    """A weight that is 0 in the first share of the training and holds from then on.

    >>> label = afterwards(1.0, share=0.25)
    >>> label.at(0.2), label.at(0.25)
    (0.0, 1.0)
    """
    return OverTraining(lambda done: weight if done >= share else 0.0)
