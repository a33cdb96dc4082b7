"""The words, equivalence and the margin by hand; and how often chance is called a finding."""

import numpy as np
import pytest
from scipy import stats

from stillhouse.verdict.equivalence import outside_the_margin
from stillhouse.verdict.judgement import judged
from stillhouse.verdict.moderated import alone, prior, two_sided
from stillhouse.verdict.paired import Paired, paired

UP, DOWN, NOTHING = [0.02, 0.021, 0.019], [-0.02, -0.021, -0.019], [0.001, -0.001, 0.0005]


def words(*gains, **more):
    return [each and each.word for each in judged([paired(row) for row in gains], **more)]


def test_words() -> None:
    assert words(UP, DOWN, NOTHING) == ["helps", "hurts", "no difference shown"]
    assert words([0.3], [0.3, 0.31], []) == ["too few seeds to tell", "too few seeds to tell", None]
    assert words(NOTHING, margin=0.01) == ["equivalent within the margin"]
    assert words(NOTHING, margin=0.0011) == ["no difference shown"]
    assert words(UP, margin=0.1) == ["helps"], "a gain that is there is said, however small"
    assert words([0.0] * 3) == ["no difference shown"]


def test_a_run_and_a_study_of_one_say_the_same() -> None:
    gains = [0.01, 0.02, 0.03]
    (alone_there,) = judged([paired(gains)])
    truth = stats.ttest_1samp(gains, 0)
    interval = truth.confidence_interval()
    assert alone_there.p == alone_there.p_corrected == pytest.approx(truth.pvalue)
    assert (alone_there.low, alone_there.high) == pytest.approx((interval.low, interval.high))
    beside_few = judged([paired(gains), paired([0.5]), None, paired([0.1, 0.9])])
    assert beside_few[0] == alone_there, "what is not judged tells nothing and counts for none"


def test_two_seeds_have_an_interval_and_no_word() -> None:
    (found,) = judged([paired([0.01, 0.03])])  # mean 0.02, s / sqrt(2) = 0.01; T is Cauchy
    assert found.p == pytest.approx(0.295167235)
    assert (found.p_corrected, found.word) == (None, "too few seeds to tell")
    assert found.high - found.mean == pytest.approx(12.7062 * 0.01, rel=1e-5)


def test_one_comparison_beside_another_with_the_same_variance() -> None:
    """Two arms: k is 1/4 or 1/2. With equal variances s~ = s; the weights by hand."""
    family = [Paired(0.03, 1e-4, 3), Paired(0.0, 1e-4, 3)]
    t = 0.03 / (0.01 / 3**0.5)
    likelihood = {k: stats.f(2, 2 * k).pdf(1.0) ** 2 for k in (0.25, 0.5)}
    p = sum(w * 2 * stats.t(2 * (1 + k)).sf(t) for k, w in likelihood.items())
    p /= sum(likelihood.values())
    found = judged(family)
    assert found[0].p == pytest.approx(p)
    assert found[0].p_corrected == pytest.approx(2 * p)
    assert judged(family, primary=[True, False])[0].p_corrected == pytest.approx(p)


def test_two_one_sided_tests_by_hand() -> None:
    gains = [0.004, 0.001, 0.003, 0.002]
    found, margin = paired(gains), 0.006
    above = stats.ttest_1samp(gains, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(gains, margin, alternative="less").pvalue
    p = outside_the_margin([found.mean], [found.variance], 4, alone(), margin=margin)[0]
    assert p == pytest.approx(max(above, below))
    with pytest.raises(ValueError, match="margin is 0"):
        outside_the_margin([0.0], [1.0], 3, alone(), margin=0)


def test_equal_differences_of_rounded_accuracies_are_no_proof() -> None:
    """One image more in each of three seeds: t = 1 / (sqrt(1/6) / sqrt(3)) = sqrt(18)."""
    step = 1 / 359
    for gains in (
        [step] * 3,
        [301 / 359 - 300 / 359, 290 / 359 - 289 / 359, 280 / 359 - 279 / 359],
    ):
        (found,) = judged([paired(gains, step=step)])
        assert found.p == pytest.approx(2 * stats.t.sf(18**0.5, 2))
        assert found.word == "no difference shown"
    wide = [0.01, 0.02, 0.04]
    assert paired(wide, step=step) == paired(wide), "a floor, and no more than that"


@pytest.mark.parametrize(
    ("seeds", "images", "arms"), [(3, 1, 12), (3, 2, 20), (5, 3, 12), (3, 40, 14), (3, 9, 2)]
)
def test_chance_is_called_a_finding_in_one_study_of_twenty(
    seeds: int, images: float, arms: int
) -> None:
    """Studies of 359 test images without any effect: some arm helps or hurts in few of them."""
    draw, studies = np.random.default_rng(0), 400
    gains = np.rint(draw.normal(0, images, (studies, arms, seeds)))  # in images: a step is 1
    mean, variance = gains.mean(-1), np.maximum(gains.var(-1, ddof=1), 1 / 6)
    p = two_sided(mean, variance, seeds, prior(variance, seeds))
    wrong = (p.min(-1) < 0.05 / arms).mean()  # Holm finds something where Bonferroni does
    assert wrong < 0.05 + 2.5 * (0.05 * 0.95 / studies) ** 0.5
    first = judged([paired(row, step=1.0) for row in gains[0].tolist()])
    assert [one.p for one in first] == pytest.approx(p[0].tolist()), "the same with the floor"
