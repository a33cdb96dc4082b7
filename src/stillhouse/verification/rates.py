"""TAR at FAR: how many same pairs are accepted where hardly a different pair is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.errors import DataError
from stillhouse.verification.curve import Curve, first_where, rate
from stillhouse.verification.pairs import Floats, Whole

ROUNDING = 1e-9
"""Of a count of pairs: 0.29 of 100 pairs are 29, not 28.999999999999996."""


@dataclass(frozen=True)
class TarAtFar:
    """What a threshold reaches that lets at most a share of the different pairs pass.

    Args:
        tar: share of same pairs that are accepted.
        far: share of different pairs that are accepted, at most the one that was asked for.
        asked: that one.
        threshold: a pair is accepted where its score is above it.
        accepted: different pairs that are accepted: few of them, and the rate is a rough one.
    """

    tar: float
    far: float
    asked: float
    threshold: float
    accepted: int


def tar_at_far(of: Curve, far: float) -> TarAtFar:
    """The TAR at the lowest threshold whose FAR is not above the one asked for.

    With ``k = floor(far N)`` of N different pairs, the threshold is the (k + 1)-th largest of their
    scores, and a pair is accepted above it: at most k of them are. Fewer, where scores are equal;
    the FAR that is reached is given. No line is drawn between points of the ROC curve.

    Args:
        of: a curve of pairs that count once each.
        far: above 0, at most 1.

    Raises:
        DataError: below 1 / N, which no threshold can show; or not in 0..1.

    >>> from stillhouse.verification.curve import curve
    >>> tar_at_far(curve([0.9, 0.8, 0.7, 0.6, 0.2], [True, False, True, False, False]), 0.4)
    TarAtFar(tar=1.0, far=0.333..., asked=0.4, threshold=0.6, accepted=1)
    """
    pairs = int(of.impostor[-1])
    if not 0 < far <= 1:
        raise DataError(f"a FAR of {far:g} was asked for; it is a share above 0, at most 1")
    if far < smallest_far(of) * (1 - ROUNDING):
        raise DataError(
            f"a FAR of {far:g} was asked for, and there are {pairs} pairs of different people: the "
            f"smallest FAR that they can show is 1 / {pairs} = {smallest_far(of):.2g}; ask for a "
            f"larger one, or give at least {int(np.ceil(1 / far - ROUNDING))} such pairs"
        )
    at = int(_place(of, far))
    below = of.threshold[at + 1] if at + 1 < len(of.threshold) else -np.inf
    accepted = int(of.impostor[at])
    return TarAtFar(float(of.tar[at]), float(of.far[at]), far, float(below), accepted)


def tars_at_far(of: Curve, far: float) -> Floats:
    """The TAR alone, by the same rule, of each resample: [...]; nan where it lacks pairs of a kind.

    >>> from stillhouse.verification.curve import curve
    >>> found = curve([0.9, 0.8, 0.7], [True, False, True], [[1, 1, 1], [3, 1, 1], [1, 0, 1]])
    >>> tars_at_far(found, 0.5).tolist()
    [0.5, 0.75, nan]
    """
    return np.where(of.impostor[..., -1] > 0, rate(of.genuine, _place(of, far)), np.nan)


def smallest_far(of: Curve) -> float:
    """One over the number of different pairs.

    >>> from stillhouse.verification.curve import curve
    >>> smallest_far(curve([0.9, 0.8, 0.7, 0.6], [True, False, True, False]))
    0.5
    """
    return 1.0 / float(of.impostor[-1])


def _place(of: Curve, far: float) -> Whole:
    """The last point of the curve that accepts at most ``floor(far N)`` different pairs."""
    allowed = np.floor(far * of.impostor[..., -1] + ROUNDING)

    def beyond(at: Whole) -> npt.NDArray[np.bool_]:
        return np.take_along_axis(of.impostor, at[..., None], -1)[..., 0] > allowed

    first = first_where(of.impostor, beyond)
    return first - beyond(first)
