"""How many pairs are accepted by threshold: the ROC curve, its area, and the equal error rate.

A pair is accepted where its score is at least the threshold, and the thresholds are the scores that
there are, so that pairs of equal score fall together. Weights (how often a pair counts in a
resample) may have more axes in front; each value then has those axes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.errors import DataError
from stillhouse.verification.pairs import Floats, Whole


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
    return ranked(score, same).curve(weight)


@dataclass(frozen=True)
class Ranked:
    """Pairs from the highest score down, of which curves are counted again and again.

    Args:
        order: the pairs by falling score; [N].
        genuine: whether each of them, in that order, is of one person; [N].
        last: the last pair of each score, in that order; [G - 1].
        threshold: see `Curve`.
    """

    order: npt.NDArray[np.intp]
    genuine: npt.NDArray[np.bool_]
    last: npt.NDArray[np.intp]
    threshold: Floats

    def curve(self, weight: npt.ArrayLike | None = None) -> Curve:
        """Count what is accepted, with weights as of `curve`."""
        if weight is None:
            count = np.ones(len(self.order))
        else:
            count = np.asarray(weight, np.float64).take(self.order, axis=-1)
        kinds = (self.genuine, ~self.genuine)
        return Curve(self.threshold, *(self._accepted(count * kind) for kind in kinds))

    def _accepted(self, count: Floats) -> Floats:
        """How many at each threshold, from none on."""
        found: Floats = np.zeros((*count.shape[:-1], len(self.last) + 1))
        if len(self.last) == len(self.order):
            count.cumsum(-1, out=found[..., 1:])
        else:
            found[..., 1:] = count.cumsum(-1)[..., self.last]
        return found


def ranked(score: npt.ArrayLike, same: npt.ArrayLike) -> Ranked:
    """Sort the pairs once; arguments and errors as of `curve`.

    >>> ranked([0.1, 0.9, 0.4], [False, True, False]).order.tolist()
    [1, 2, 0]
    """
    scores, is_same = checked(score, same)
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.flatnonzero(np.append(np.diff(falling) != 0, True))  # of pairs of equal score
    return Ranked(order, is_same[order], last, np.append(np.inf, falling[last]))


def area(of: Curve) -> Floats:
    """Area under the ROC curve (AUC), by trapezoids: P(score of a same pair > of another one).

    Equal scores count half. nan where a resample has no pairs of a kind.

    >>> float(area(curve([0.9, 0.4, 0.4, 0.1], [True, True, False, False])))
    0.875
    """
    genuine, total = of.genuine, of.genuine[..., -1] * of.impostor[..., -1]
    heights = genuine[..., 1:] + genuine[..., :-1]
    inside = np.einsum("...g,...g->...", np.diff(of.impostor, axis=-1), heights) / 2
    found: Floats = np.divide(inside, total, out=np.full(inside.shape, np.nan), where=total > 0)
    return found


def equal_error_rate(of: Curve) -> Floats:
    """Where as large a share of different pairs is accepted as of same ones is refused (EER).

    ``FAR = 1 - TAR`` on the ROC curve, whose points are joined by straight lines (facenet's
    evaluation looks for the same crossing). nan where a resample has no pairs of a kind.

    >>> float(equal_error_rate(curve([0.9, 0.4, 0.4, 0.1], [True, True, False, False])))
    0.25
    """

    def gap(at: Whole) -> Floats:  # from -1 to 1, never falling
        return rate(of.impostor, at) - (1 - rate(of.genuine, at))

    after = np.maximum(first_where(of.genuine, lambda at: gap(at) >= 0), 1)
    low, high = gap(after - 1), gap(after)
    ends = [rate(of.impostor, at) for at in (after - 1, after)]
    crossing: Floats = ends[0] - low / (high - low) * (ends[1] - ends[0])
    return crossing


def first_where(rows: Floats, reached: Callable[[Whole], npt.NDArray[np.bool_]]) -> Whole:
    """The first place of each row at which something is reached, halved; the last where it is not.

    Args:
        rows: [..., G].
        reached: whether it is, at one place of each row; once true, always true.

    Returns:
        [...].

    >>> rows = np.array([[0.0, 1, 2, 5], [0, 0, 1, 1]])
    >>> first_where(rows, lambda at: np.take_along_axis(rows, at[..., None], -1)[..., 0] > 1)
    array([2, 3])
    """
    low = np.zeros(rows.shape[:-1], dtype=np.int64)
    high = np.full_like(low, rows.shape[-1] - 1)
    while (low < high).any():
        middle = (low + high) // 2
        there = reached(middle)
        low, high = (
            np.where(there, low, np.minimum(middle + 1, high)),
            np.where(there, middle, high),
        )
    return high


def rate(count: Floats, at: Whole) -> Floats:
    """Of counts from none to all, the share at one place of each row; nan where there are none.

    >>> rate(np.array([[0.0, 1, 4]]), np.array([1]))
    array([0.25])
    """
    part, total = np.take_along_axis(count, at[..., None], -1)[..., 0], count[..., -1]
    found: Floats = np.divide(part, total, out=np.full(total.shape, np.nan), where=total > 0)
    return found


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


def _share(count: Floats) -> Floats:
    total = count[..., -1:]
    return np.divide(count, total, out=np.full_like(count, np.nan), where=total > 0)
