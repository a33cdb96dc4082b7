"""Weights that follow the training: a phase that holds first, one that holds afterwards, a ramp-up.

Where a published method pre-trains with one loss and then trains with another, the two are phases
of one training here, so that its budget is that of its control. Online methods ramp up: what the
networks say to each other counts little at first.
"""

import math

from stillhouse.engine.terms import OverTraining, Weight

STAGE_ONE = 0.125
"""30 of 240 epochs: what the benchmark of CRD gives first stages, there before the 240."""
STEEPNESS = 5.0


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


def sigmoid_rampup(weight: float, share: float) -> OverTraining | float:
    """A weight that grows as ``weight * exp(-5 (1 - t)^2)`` over the first share of the training.

    t goes from 0 to 1 over that share. At 0 the weight is constant.

    Paper: Laine & Aila, "Temporal Ensembling for Semi-Supervised Learning", arXiv 1610.02242.

    >>> grow = sigmoid_rampup(2.0, 0.5)
    >>> [round(grow.at(done), 4) for done in (0.0, 0.25, 0.5, 1.0)]
    [0.0135, 0.573, 2.0, 2.0]
    """
    if share == 0.0:
        return weight

    def at(done: float) -> float:
        return weight * math.exp(-STEEPNESS * (1.0 - min(done / share, 1.0)) ** 2)

    return OverTraining(at)
