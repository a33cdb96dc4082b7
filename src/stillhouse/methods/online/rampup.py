"""The ramp-up of online methods: what the networks say to each other counts little at first."""

import math

from stillhouse.engine.terms import OverTraining

STEEPNESS = 5.0


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
