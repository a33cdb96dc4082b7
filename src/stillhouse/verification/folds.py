"""Accuracy by folds, as on LFW: each fold is judged at the threshold that is best on the others."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.errors import DataError
from stillhouse.verification.curve import checked
from stillhouse.verification.pairs import Floats

GRID: Floats = np.arange(400) / 100
"""Thresholds on the squared distance of two embeddings of unit length: 0 to 4 by 0.01, the grid of
facenet's and insightface's evaluation."""


@dataclass(frozen=True)
class FoldAccuracy:
    """Accuracy of each fold.

    Args:
        accuracy: share of its pairs that are told right, by fold in the order of their numbers.
        threshold: the squared distance below which a pair is accepted there.
    """

    accuracy: tuple[float, ...]
    threshold: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over folds."""
        return float(np.mean(self.accuracy))

    @property
    def deviation(self) -> float:
        """Over folds, divided by their number: what insightface prints behind +-."""
        return float(np.std(self.accuracy))

    @property
    def standard_error(self) -> float:
        """Of the mean, as LFW's table of results has it: ``deviation / sqrt(folds)``."""
        return self.deviation / float(np.sqrt(len(self.accuracy)))


def fold_accuracy(cosine: npt.ArrayLike, same: npt.ArrayLike, fold: npt.ArrayLike) -> FoldAccuracy:
    """Judge each fold at the threshold that is best on all the others.

    A pair is accepted where ``D = 2 - 2 cos < t``; t is the first of `GRID` with the highest
    accuracy on the other folds (the lowest of equally good ones, strict on same pairs).

    Args:
        cosine: of each pair; [N].
        same: whether both are of one person; [N].
        fold: the fold of each pair as its list of pairs says, any whole numbers; [N]. It is not
            guessed from the order of pairs, for one that is missing would shift all after it.

    Raises:
        DataError: see `curve`; or fewer than two folds, or not one for each pair.

    >>> found = fold_accuracy([0.912, 0.1, 0.812, 0.712], [True, False, True, False], [1, 1, 2, 2])
    >>> found.accuracy, found.threshold, found.mean
    ((1.0, 0.5), (0.38, 0.18), 0.75)
    """
    accuracy, place = _by_fold(cosine, same, fold, None)
    return FoldAccuracy(tuple(accuracy.tolist()), tuple(GRID[place].tolist()))


def fold_accuracies(
    cosine: npt.ArrayLike, same: npt.ArrayLike, fold: npt.ArrayLike, weight: npt.ArrayLike
) -> Floats:
    """The mean over folds of each resample, whose pairs stay in their fold.

    Args:
        cosine, same, fold: see `fold_accuracy`.
        weight: how often each pair counts; [..., N].

    Returns:
        [...]; a fold none of whose pairs is in a resample does not count there.

    >>> pairs = [0.912, 0.1, 0.812, 0.712], [True, False, True, False], [1, 1, 2, 2]
    >>> fold_accuracies(*pairs, [[1, 1, 1, 1], [1, 1, 3, 1]]).tolist()
    [0.75, 0.625]
    """
    accuracy, _ = _by_fold(cosine, same, fold, np.asarray(weight, dtype=np.float64))
    there = ~np.isnan(accuracy)
    many = there.sum(-1)
    total = np.where(there, accuracy, 0.0).sum(-1)
    mean: Floats = np.divide(total, many, out=np.full(many.shape, np.nan), where=many > 0)
    return mean


def _by_fold(
    cosine: npt.ArrayLike, same: npt.ArrayLike, fold: npt.ArrayLike, weight: Floats | None
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Accuracy of each fold and the place of its threshold, [..., folds] each."""
    scores, is_same = checked(cosine, same)
    numbers = np.asarray(fold)
    if numbers.shape != scores.shape:
        raise DataError(
            f"{list(numbers.shape)} folds for {list(scores.shape)} pairs; give one each"
        )
    names, number = np.unique(numbers, return_inverse=True)
    if len(names) < 2:
        raise DataError(
            f"all pairs are in fold {names[0]}; a threshold is chosen on other folds than it is "
            "judged on, so give two folds or more"
        )
    # The first threshold that is above a pair's distance accepts it, and so do all after it.
    first = np.searchsorted(GRID, 2 - 2 * scores, side="right")
    cells = len(names), len(GRID) + 1
    cell = number * cells[1] + first
    every = np.ones(len(scores)) if weight is None else weight
    refused = _summed(np.where(is_same, 0.0, every), number, (len(names), 1))
    total = _summed(every, number, (len(names), 1))[..., 0]
    right = _summed(np.where(is_same, every, -every), cell, cells)
    right[..., :1] += refused  # same pairs that are accepted and other pairs that are not
    right = right.cumsum(-1)[..., :-1]
    best = (right.sum(-2, keepdims=True) - right).argmax(-1)
    own = np.take_along_axis(right, best[..., None], -1)[..., 0]
    return np.divide(own, total, out=np.full(own.shape, np.nan), where=total > 0), best


def _summed(value: Floats, cell: npt.NDArray[np.intp], cells: tuple[int, int]) -> Floats:
    """[..., N] -> [..., folds, thresholds + 1]: the sum of what falls into each cell."""
    from scipy.sparse import csr_matrix

    count = len(cell)
    where = csr_matrix((np.ones(count), (cell, np.arange(count))), (cells[0] * cells[1], count))
    found: Floats = (where @ value.reshape(-1, count).T).T
    return found.reshape(*value.shape[:-1], *cells)
