"""Accuracy by folds, against the loop of the field's evaluation code, pair by pair."""

import numpy as np
import pytest

from stillhouse.errors import DataError
from stillhouse.verification.folds import FoldAccuracy, fold_accuracies, fold_accuracy

GRID = [t / 100 for t in range(400)]


def drawn(pairs: int = 120, folds: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(2)
    same = draw.random(pairs) < 0.5
    cosine = np.clip(draw.normal(0.35 * same, 0.25), -1, 1)
    return cosine, same, draw.integers(0, folds, pairs) * 3 + 1


def share_right(distance: float, rows: list[tuple[float, bool]]) -> float:
    return sum((2 - 2 * c < distance) == one for c, one in rows) / len(rows)


def naive(
    cosine: np.ndarray, same: np.ndarray, fold: np.ndarray
) -> tuple[list[float], list[float]]:
    pairs = list(zip(cosine.tolist(), same.tolist(), fold.tolist(), strict=True))
    accuracy, threshold = [], []
    for name in sorted(set(fold.tolist())):
        others = [(c, one) for c, one, f in pairs if f != name]
        best = max(GRID, key=lambda t: share_right(t, others))  # the first of equally good ones
        accuracy.append(share_right(best, [(c, one) for c, one, f in pairs if f == name]))
        threshold.append(best)
    return accuracy, threshold


def test_each_fold_is_judged_at_the_first_best_threshold_of_the_others() -> None:
    cosine, same, fold = drawn()
    found = fold_accuracy(cosine, same, fold)
    accuracy, threshold = naive(cosine, same, fold)
    assert found.accuracy == pytest.approx(accuracy, abs=1e-12)
    assert found.threshold == pytest.approx(threshold, abs=1e-12)
    assert found.mean == pytest.approx(np.mean(accuracy))
    assert len(set(found.threshold)) > 1, "or nothing shows that it is chosen by fold"


def test_a_pair_at_the_threshold_itself_is_not_accepted() -> None:
    """A cosine of 0.5 is a squared distance of 1: the first threshold that accepts it is 1.01."""
    found = fold_accuracy([0.5, -1.0, 0.5, -1.0], [True, False] * 2, [0, 0, 1, 1])
    assert found == FoldAccuracy((1.0, 1.0), (1.01, 1.01))


def test_the_order_of_pairs_does_not_matter_but_their_fold_does() -> None:
    cosine, same, fold = drawn()
    order = np.random.default_rng(0).permutation(len(cosine))
    assert fold_accuracy(cosine[order], same[order], fold[order]) == fold_accuracy(
        cosine, same, fold
    )
    assert fold_accuracy(cosine, same, np.roll(fold, 1)) != fold_accuracy(cosine, same, fold)


def test_weights_count_pairs_so_often() -> None:
    cosine, same, fold = drawn()
    weight = np.random.default_rng(5).integers(0, 4, (3, len(cosine)))
    weight[2, fold == 4] = 0  # a fold without a pair does not count
    found = fold_accuracies(cosine, same, fold, weight)
    for row, often in enumerate(weight):
        wanted, _ = naive(*(np.repeat(x, often) for x in (cosine, same, fold)))
        assert found[row] == pytest.approx(np.mean(wanted), abs=1e-12)
    assert np.isnan(fold_accuracies(cosine, same, fold, 0 * weight)).all()


def test_the_two_deviations_of_the_field() -> None:
    found = FoldAccuracy((0.9, 1.0, 0.8, 0.9), (1.0,) * 4)
    assert found.deviation == pytest.approx(np.sqrt(0.02 / 4))
    assert found.standard_error == pytest.approx(found.deviation / 2)


def test_folds_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(DataError, match="all pairs are in fold 1;"):
        fold_accuracy([0.1, 0.2], [True, False], [1, 1])
    with pytest.raises(DataError, match="folds for"):
        fold_accuracy([0.1, 0.2], [True, False], [1, 1, 2])
