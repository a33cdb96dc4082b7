import pytest

from stillhouse.records.metric import ACCURACY, NOTHING
from stillhouse.report import wording


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0 B"), (999, "999 B"), (999_600, "1.00 MB"), (12_345, "12.3 kB"), (175_283, "175 kB")],
)
def test_sizes_never_show_a_thousand_of_a_unit(value: float, said: str):
    assert wording.size(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min")],
)
def test_durations_never_show_sixty_of_a_unit(value: float, said: str):
    assert wording.duration(value) == said


def test_a_gain_that_rounds_to_nothing_has_no_sign():
    assert ACCURACY.signed(-0.00001) == "0.00"


def test_what_is_not_known_is_a_dash():
    sayings = (wording.percent, wording.count, wording.size, wording.duration)
    of_metric = (ACCURACY.shown, ACCURACY.with_unit, ACCURACY.signed)
    assert {say(None) for say in (*sayings, *of_metric)} == {NOTHING}
    assert wording.interval(None, ACCURACY) == NOTHING


def test_ratios_near_one_are_the_same():
    assert wording.compared(1.04, "smaller", "larger", "same") == "same"
    assert wording.compared(0.96, "smaller", "larger", "same") == "same"
    assert wording.compared(1.06, "smaller", "larger", "same") == "1.1\u00d7 smaller"
