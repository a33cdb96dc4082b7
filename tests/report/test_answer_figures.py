"""Figures of what networks say of the test rows: what is drawn is what is said."""

import pytest

from stillhouse.diagnostics.calibration import Reliability
from stillhouse.records.metric import ACCURACY
from stillhouse.report.answer_figures import classes_figure, reliability_figure
from stillhouse.report.by_class import ByClass, ClassRow
from stillhouse.report.calibration import Calibrated

ROWS = (ClassRow("<b>cat", 50, 0.80, 0.76, 0.9), ClassRow("dog", 40, 0.50, 0.625, None))


def test_the_change_of_each_class_is_a_bar_in_points() -> None:
    (bars,) = classes_figure(ByClass(ROWS, (), ()), ACCURACY).data
    assert list(bars.y) == pytest.approx([-4.0, 12.5])
    assert list(bars.marker.color) == ["var(--control)", "var(--accent)"]
    assert bars.text[1] == "dog: +12.50 points, 50.00% to 62.50% of 40 rows"
    assert bars.text[0].startswith("&lt;b&gt;cat: ")


def test_many_classes_and_none_are_not_drawn() -> None:
    assert classes_figure(ByClass(ROWS * 13, (), ()), ACCURACY) is None
    assert classes_figure(None, ACCURACY) is None
    assert reliability_figure(()) is None


def test_reliability_is_drawn_of_bins_that_have_rows() -> None:
    curve = Reliability((0, 30, 90), (0.0, 0.5, 0.9), (0.0, 0.4, 0.8))
    figure = reliability_figure([Calibrated("student", 0.1, 0.3, None, curve)])
    (found,) = [trace for trace in figure.data if trace.name]
    assert (found.name, list(found.x), list(found.y)) == ("student", [0.5, 0.9], [0.4, 0.8])
    small, large = found.marker.size
    assert (large / small) ** 2 == pytest.approx(90 / 30), "the area says how many rows"
    assert list(found.customdata) == [30, 90]
