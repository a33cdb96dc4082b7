import pytest

from stillhouse.report import read_run
from stillhouse.report.gains import gain_labels, gains_figure


def test_dots_mean_interval_and_zero_line(made):
    figure = gains_figure(read_run(made.write()))
    dots, mean = figure.data

    assert list(dots.x) == pytest.approx([1.11, 1.39, 1.11])
    assert dots.text[1] == "seed 1: +1.39 points"
    assert mean.x[0] == pytest.approx(1.2033, abs=1e-3)
    assert mean.x[0] + mean.error_x.array[0] == pytest.approx(1.54)
    assert mean.x[0] - mean.error_x.arrayminus[0] == pytest.approx(0.87)
    assert [shape.x0 for shape in figure.layout.shapes] == [0]
    assert list(figure.layout.yaxis.ticktext) == ["seed 0", "seed 1", "seed 2", "mean"]


def test_zero_and_the_whole_interval_are_in_view(made):
    for sign in (1, -1):
        verdict = made.scores["verdict"]
        verdict.update(gain=0.02 * sign, low=0.02 * sign - 0.005, high=0.02 * sign + 0.005)
        verdict["gains"] = [0.018 * sign, 0.02 * sign, 0.022 * sign]
        low, high = gains_figure(read_run(made.write())).layout.xaxis.range
        assert low < min(0, 100 * verdict["low"])
        assert high > max(0, 100 * verdict["high"])


def test_one_seed_is_a_dot_without_mean_or_interval(made):
    made.scores["verdict"].update(word="too few seeds to tell", low=None, high=None, gains=[0.0111])
    for role in ("student", "control"):
        made.model(role)["runs"] = made.model(role)["runs"][:1]

    figure = gains_figure(read_run(made.write()))

    assert len(figure.data) == 1
    assert list(figure.data[0].x) == pytest.approx([1.11])


def test_gains_are_named_by_the_seeds_that_both_have(made):
    made.model("control")["runs"] = made.model("control")["runs"][1:]
    made.scores["verdict"]["gains"] = made.scores["verdict"]["gains"][1:]

    assert gain_labels(read_run(made.write())) == ("seed 1", "seed 2")


def test_gains_whose_seeds_are_not_told_are_numbered(made):
    made.scores["models"] = []

    assert gain_labels(read_run(made.write())) == ("pair 1", "pair 2", "pair 3")


def test_no_verdict_and_no_gains_draw_nothing(made):
    made.scores["verdict"]["gains"] = []
    assert gains_figure(read_run(made.write())) is None
    made.scores["verdict"] = None
    assert gains_figure(read_run(made.write())) is None
