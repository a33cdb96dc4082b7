"""The verdict against a t-test of SciPy, and its words."""

import pytest
from scipy import stats

from stillhouse.runs.verdict import judge


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
        ([0.3], "one seed"),
    ],
)
def test_words(gains: list[float], word: str) -> None:
    verdict = judge("kd", [0.5 + gain for gain in gains], [0.5] * len(gains))
    assert verdict.word == word
    assert ("interval" in verdict.sentence) or len(gains) == 1
    assert (verdict.low is None) == (len(gains) == 1)


def test_without_a_control_there_is_no_verdict() -> None:
    assert judge("kd", [0.5, 0.6], []).word == "no control"
