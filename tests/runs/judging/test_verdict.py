"""The verdict against a t-test of SciPy, and its words."""

import pytest
from scipy import stats

from stillhouse.runs.judging.verdict import judge
from stillhouse.studies.comparisons import comparisons
from stillhouse.verdict.paired import paired


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    student, control = [0.71, 0.74, 0.69, 0.75], [0.70, 0.71, 0.68, 0.70]
    verdict = judge("kd", student, control)
    truth = stats.ttest_rel(student, control).confidence_interval(0.95)
    assert verdict.low == pytest.approx(truth.low)
    assert verdict.high == pytest.approx(truth.high)
    assert verdict.gain == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("gains", "word"),
    [
        ([0.01, 0.011, 0.012], "helps"),
        ([-0.01, -0.011, -0.012], "hurts"),
        ([0.01, -0.01, 0.005], "no difference shown"),
        ([0.0, 0.0, 0.0], "no difference shown"),
        ([0.3], "too few seeds to tell"),
        ([0.3, 0.3001], "too few seeds to tell"),
    ],
)
def test_words(gains: list[float], word: str) -> None:
    verdict = judge("kd", [0.5 + gain for gain in gains], [0.5] * len(gains))
    assert verdict.word == word
    assert ("interval" in verdict.sentence) or len(gains) == 1
    assert (verdict.low is None) == (len(gains) == 1)


def test_without_a_control_there_is_no_verdict() -> None:
    assert judge("kd", [0.5, 0.6], []).word == "no control"


def test_gains_that_are_equal_by_rounding_are_no_proof() -> None:
    student, control = [0.51, 0.52, 0.53], [0.50, 0.51, 0.52]  # one image of a hundred, each time
    assert judge("kd", student, control).word == "helps"
    verdict = judge("kd", student, control, images=100)
    assert verdict.word == "no difference shown"
    # By hand: s = 0.01 / sqrt(6), t(0.975; 2) = 4.302653.
    half = 4.302653 * 0.01 / 6**0.5 / 3**0.5
    assert (verdict.low, verdict.high) == pytest.approx((0.01 - half, 0.01 + half), abs=1e-8)
    assert judge("kd", [0.6, 0.61, 0.62], [0.5, 0.51, 0.52], images=100).word == "helps"


def test_a_margin_that_was_said_before() -> None:
    student, control = [0.501, 0.5005, 0.4995, 0.5], [0.5] * 4
    verdict = judge("kd", student, control, margin=0.005)
    assert verdict.word == "equivalent within the margin"
    assert verdict.sentence.startswith(
        "kd: equivalent within the margin of 0.50 points: +0.02 points"
    )
    assert judge("kd", student, control, margin=0.0005).word == "no difference shown"
    assert judge("kd", student[:2], control[:2], margin=0.5).word == "too few seeds to tell"


@pytest.mark.parametrize("gains", [[0.01, 0.011], [0.01, 0.011, 0.012], [0.02, -0.01, 0.0], [0.1]])
def test_a_run_and_a_study_of_one_arm_say_the_same(gains: list[float]) -> None:
    run = judge("kd", [0.5 + gain for gain in gains], [0.5] * len(gains), images=1000)
    arm = comparisons({"kd": paired([(0.5 + gain) - 0.5 for gain in gains], step=1 / 1000)})["kd"]
    assert (run.word, run.gain, run.low, run.high, run.p) == (
        arm.word, pytest.approx(arm.mean), arm.low, arm.high, arm.p,
    )  # fmt: skip
