"""How many pairs are accepted by threshold: the ROC curve, its area, and the equal error rate.

A pair is accepted where its score is at least the threshold, and the thresholds are the scores that
there are, so that pairs of equal score fall together. Weights (how often a pair counts in a
resample) may have more axes in front; each value then has those axes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.errors import DataError
from stillhouse.verification.pairs import Floats


@dataclass(frozen=True)
class Curve:
    """Accepted pairs at each threshold, from none to all.

    Args:
        threshold: infinity, then the different scores from the highest down; [G].
        genuine: pairs of one person that are accepted; [..., G], the last is all of them.
        impostor: pairs of different people that are accepted, likewise.
    """

    threshold: Floats
    genuine: Floats
    impostor: Floats

    @property
    def tar(self) -> Floats:
        """True accept rate (TPR): the share of pairs of one person; nan where there are none."""
        return _share(self.genuine)

    @property
    def far(self) -> Floats:
        """False accept rate (FPR): the share of pairs of different people; nan likewise."""
        return _share(self.impostor)


def curve(score: npt.ArrayLike, same: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Curve:
    """Count what is accepted at each threshold.

    Args:
        score: of each pair, high where both are alike; [N].
        same: whether both are of one person; [N].
        weight: how often each pair counts; [..., N]. Once, when not given.

    Raises:
        DataError: scores that are not finite, not one for each pair, or pairs of one kind alone.

    >>> found = curve([0.9, 0.4, 0.4, 0.1], [True, True, False, False])
    >>> found.threshold.tolist(), found.tar.tolist(), found.far.tolist()
    ([inf, 0.9, 0.4, 0.1], [0.0, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0])
    """
    scores, is_same = checked(score, same)
    order = np.argsort(-scores, kind="stable")
    falling, genuine = scores[order], is_same[order]
    last = np.flatnonzero(np.append(np.diff(falling) != 0, True))  # of pairs of equal score
    count = np.ones(len(scores)) if weight is None else np.asarray(weight, np.float64)[..., order]
    counted = [_from_none((count * kind).cumsum(-1)[..., last]) for kind in (genuine, ~genuine)]
    return Curve(np.append(np.inf, falling[last]), *counted)


def area(of: Curve) -> Floats:
    """Area under the ROC curve (AUC), by trapezoids: P(score of a same pair > of another one).

    Equal scores count half. nan where a resample has no pairs of a kind.

    >>> float(area(curve([0.9, 0.4, 0.4, 0.1], [True, True, False, False])))
    0.875
    """
    tar, far = of.tar, of.far
    inside: Floats = (np.diff(far, axis=-1) * (tar[..., 1:] + tar[..., :-1]) / 2).sum(-1)
    return inside


def equal_error_rate(of: Curve) -> Floats:
    """Where as large a share of different pairs is accepted as of same ones is refused (EER).

    ``FAR = 1 - TAR`` on the ROC curve, whose points are joined by straight lines (facenet's
    evaluation looks for the same crossing). nan where a resample has no pairs of a kind.

    >>> float(equal_error_rate(curve([0.9, 0.4, 0.4, 0.1], [True, True, False, False])))
    0.25
    """
    gap = of.far - (1 - of.tar)  # from -1 to 1, never falling
    after = np.maximum((gap >= 0).argmax(-1), 1)[..., None]
    low, high = (np.take_along_axis(gap, at, -1) for at in (after - 1, after))
    ends = [np.take_along_axis(of.far, at, -1) for at in (after - 1, after)]
    crossing: Floats = (ends[0] - low / (high - low) * (ends[1] - ends[0]))[..., 0]
    return crossing


def checked(score: npt.ArrayLike, same: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Scores and whether pairs are of one person, or a DataError: see `curve`.

    >>> checked([0.5], [True])
    Traceback (most recent call last):
    ...
    stillhouse.errors.DataError: verification needs pairs of one person and of different people; \
there are 1 and 0
    """
    scores, is_same = np.asarray(score, dtype=np.float64), np.asarray(same)
    if scores.ndim != 1 or scores.shape != is_same.shape:
        raise DataError(
            f"scores {list(scores.shape)} and same {list(is_same.shape)} are to have one value for "
            "each pair, [N]"
        )
    bad = ~np.isfinite(scores)
    if bad.any():
        raise DataError(
            f"the score of pair {int(bad.argmax())} is {scores[bad.argmax()]} "
            f"({int(bad.sum())} of {len(scores)} pairs are not finite); all are needed"
        )
    genuine = is_same.astype(bool)
    if not genuine.any() or genuine.all():
        raise DataError(
            "verification needs pairs of one person and of different people; there are "
            f"{int(genuine.sum())} and {int((~genuine).sum())}"
        )
    return scores, genuine


def _from_none(count: Floats) -> Floats:
    return np.concatenate([np.zeros((*count.shape[:-1], 1)), count], axis=-1)


def _share(count: Floats) -> Floats:
    total = count[..., -1:]
    return np.divide(count, total, out=np.full_like(count, np.nan), where=total > 0)
