"""ROC, its area, equal error rate, TAR at FAR: against scikit-learn and loops, ties included."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

from stillhouse.errors import DataError
from stillhouse.verification.curve import area, curve, equal_error_rate
from stillhouse.verification.rates import smallest_far, tar_at_far, tars_at_far

FARS = [1.0, 0.5, 0.29, 0.1, 0.03, 0.01]


def drawn(decimals: int, seed: int = 0, pairs: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Scores of which many are equal when there are few decimals."""
    draw = np.random.default_rng(seed)
    same = draw.random(pairs) < 0.4
    return np.round(draw.normal(0.4 * same, 0.3), decimals), same


def weights(pairs: int = 240) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 4, (3, pairs))


def naive_tar(score: np.ndarray, same: np.ndarray, far: float) -> tuple[float, float, float]:
    """The rule as it is written: TAR, FAR and threshold."""
    impostors = sorted(
        (float(s) for s, one in zip(score, same, strict=True) if not one), reverse=True
    )
    k = int(far * len(impostors) + 1e-9)
    threshold = impostors[k] if k < len(impostors) else -np.inf
    accepted = [one for s, one in zip(score, same, strict=True) if s > threshold]
    genuine = sum(accepted)
    return genuine / int(same.sum()), (len(accepted) - genuine) / len(impostors), threshold


@pytest.mark.parametrize("decimals", [1, 2, 9])
def test_points_and_area_are_scikit_learns(decimals: int) -> None:
    score, same = drawn(decimals)
    found = curve(score, same)
    far, tar, threshold = roc_curve(same, score, drop_intermediate=False)
    np.testing.assert_allclose(found.far, far, atol=1e-12)
    np.testing.assert_allclose(found.tar, tar, atol=1e-12)
    np.testing.assert_array_equal(found.threshold, threshold)
    assert float(area(found)) == pytest.approx(roc_auc_score(same, score), abs=1e-12)


@pytest.mark.parametrize("decimals", [1, 9])
def test_weights_count_pairs_so_often(decimals: int) -> None:
    """Against scikit-learn with sample weights, and against pairs that are written out so often."""
    score, same = drawn(decimals)
    found = curve(score, same, weights())
    for row, weight in enumerate(weights()):
        far, tar, _ = roc_curve(same, score, sample_weight=weight, drop_intermediate=False)
        wanted = roc_auc_score(same, score, sample_weight=weight)
        assert area(found)[row] == pytest.approx(wanted, abs=1e-12)
        assert {*zip(far.round(9), tar.round(9), strict=True)} == {
            *zip(found.far[row].round(9), found.tar[row].round(9), strict=True)
        }
        often = curve(np.repeat(score, weight), np.repeat(same, weight))
        assert equal_error_rate(found)[row] == pytest.approx(equal_error_rate(often), abs=1e-12)
        for f in FARS:
            wanted = tar_at_far(often, f).tar
            assert tars_at_far(found, f)[row] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("decimals", [1, 2, 9])
@pytest.mark.parametrize("seed", range(4))
def test_the_equal_error_rate_is_where_the_roc_curve_crosses(decimals: int, seed: int) -> None:
    """By facenet's way: a root of 1 - x = TPR(x) on the interpolated curve."""
    score, same = drawn(decimals, seed)
    found = float(equal_error_rate(curve(score, same)))
    far, tar, _ = roc_curve(same, score, drop_intermediate=False)
    wanted = brentq(lambda x: 1.0 - x - interp1d(far, tar)(x), 0.0, 1.0)
    steepest = np.flatnonzero(np.isclose(far, found, atol=1e-9))
    if len(steepest) < 2:  # else TPR(x) has two values there, and the root is one of many
        assert found == pytest.approx(wanted, abs=1e-9)
    else:
        assert abs(found - wanted) < 1 / (~same).sum()
    crossed = np.flatnonzero(far >= 1 - tar)[0]
    assert far[crossed - 1] - 1e-12 <= found <= far[crossed] + 1e-12


def test_the_ends_of_the_equal_error_rate() -> None:
    same = [True, True, False, False]
    assert float(equal_error_rate(curve([4.0, 3.0, 2.0, 1.0], same))) == 0.0
    assert float(equal_error_rate(curve([1.0, 2.0, 3.0, 4.0], same))) == 1.0
    assert float(equal_error_rate(curve([1.0, 1.0, 1.0, 1.0], same))) == 0.5
    assert float(area(curve([1.0, 1.0, 1.0, 1.0], same))) == 0.5


@pytest.mark.parametrize("far", FARS)
@pytest.mark.parametrize("decimals", [1, 2, 9])
def test_tar_at_far_is_the_counting_rule(decimals: int, far: float) -> None:
    score, same = drawn(decimals)
    found = tar_at_far(curve(score, same), far)
    tar, reached, threshold = naive_tar(score, same, far)
    assert (found.tar, found.far, found.threshold) == pytest.approx((tar, reached, threshold))
    assert found.far <= far == found.asked
    assert found.accepted == round(reached * (~same).sum())


def test_a_far_of_29_in_100_lets_29_pass() -> None:
    """0.29 * 100 is 28.999999999999996 in floating point."""
    score = np.arange(101.0)
    assert tar_at_far(curve(score, score == 0), 0.29).accepted == 29


def test_a_far_that_the_pairs_cannot_show_is_refused() -> None:
    score, same = drawn(9)
    found, pairs = curve(score, same), int((~same).sum())
    assert smallest_far(found) == 1 / pairs
    assert tar_at_far(found, 1 / pairs).accepted == 1
    with pytest.raises(DataError, match=rf"a FAR of 0.001 .* {pairs} pairs .* least 1000 such"):
        tar_at_far(found, 1e-3)
    for far in (0.0, 1.5):
        with pytest.raises(DataError, match="a share above 0"):
            tar_at_far(found, far)


def test_resamples_without_a_kind_of_pairs_have_no_value() -> None:
    found = curve([0.9, 0.5, 0.1], [True, False, False], [[0, 1, 1], [1, 0, 0], [1, 1, 0]])
    for values in (area(found), equal_error_rate(found), tars_at_far(found, 0.5)):
        assert np.isnan(values).tolist() == [True, True, False]


def test_scores_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(DataError, match=r"the score of pair 1 is nan \(1 of 2 pairs"):
        curve([0.1, np.nan], [True, False])
    with pytest.raises(DataError, match="there are 2 and 0"):
        curve([0.1, 0.2], [True, True])
    with pytest.raises(DataError, match=r"scores \[2\] and same \[3\]"):
        curve([0.1, 0.2], [True, True, False])
