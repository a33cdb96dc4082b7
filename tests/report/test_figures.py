import pytest
from epochs import epoch

from stillhouse.report import read_run
from stillhouse.report.figures import early_epochs_hidden, validation_figure
from stillhouse.report.record import RunRecord
from stillhouse.report.terms import label, share_figure, term_figure

HOSTILE = "<b>kd</b> & <script>"


def traces(figure) -> dict:
    return {trace.name: trace for trace in figure.data if trace.name}


def test_the_validation_figure_has_means_bands_and_the_teachers_last(made):
    figure = validation_figure(read_run(made.write()))
    last = [
        line["validation"]["student.logits"]["accuracy"]
        for line in made.metrics
        if line.get("epoch") == 30 and line["stage"] == "student"
    ]

    student = traces(figure)["student"]
    assert student.y[-1] == pytest.approx(100 * sum(last) / 3)
    assert student.customdata[-1] == pytest.approx((100 * min(last), 100 * max(last)))
    assert list(traces(figure)["teacher, last epoch"].y) == pytest.approx([98.1] * 30)
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 2
    # A band runs along its upper edge to the last epoch, and back along its lower one.
    assert bands[1].y[29:31] == pytest.approx((100 * max(last), 100 * min(last)))


def test_the_steep_beginning_is_left_out_of_view_and_nothing_later(made):
    figure = validation_figure(read_run(made.write()))
    low, high = figure.layout.yaxis.range

    assert early_epochs_hidden(figure)
    assert traces(figure)["student"].y[0] < low
    for name in ("student", "control"):
        assert all(low <= value <= high for value in traces(figure)[name].y[8:])


def test_a_short_run_is_shown_whole(made):
    made.metrics = [line for line in made.metrics if line.get("epoch", 0) <= 5]

    assert not early_epochs_hidden(validation_figure(read_run(made.write())))


def test_one_seed_has_no_band(made):
    made.metrics = [line for line in made.metrics if line["seed"] == 0]

    assert not [t for t in validation_figure(read_run(made.write())).data if t.fill == "toself"]


def test_the_teachers_own_curve_is_drawn_until_others_begin(made):
    made.scores = None
    made.metrics = [line for line in made.metrics if line["stage"] == "teacher"]

    assert list(traces(validation_figure(read_run(made.write())))) == ["teacher"]


def test_a_run_without_epochs_has_no_figures():
    empty = RunRecord("empty")

    assert validation_figure(empty) is None
    assert term_figure(empty, "kd") is None
    assert share_figure(empty) is None


def test_a_term_that_falls_over_decades_has_a_logarithmic_axis():
    steps = tuple(
        epoch("student", 0, n, terms={"steep": 10.0**-n, "flat": 1 / n, "signed": 2.0 - n})
        for n in range(1, 5)
    )
    run = RunRecord("steps", epochs=steps)

    assert term_figure(run, "steep").layout.yaxis.type == "log"
    assert term_figure(run, "flat").layout.yaxis.rangemode == "tozero"
    assert term_figure(run, "signed").layout.yaxis.rangemode == "normal"
    assert list(term_figure(run, "signed").data[0].y) == [1.0, 0.0, -1.0, -2.0]


def test_shares_are_those_of_the_weighted_terms(made):
    figure = share_figure(read_run(made.write()))
    first = [line for line in made.metrics if line["stage"] == "student" and line["epoch"] == 1]

    assert [trace.name for trace in figure.data] == ["label", "kd"]
    assert figure.data[0].groupnorm == "percent"
    expected = sum(0.1 * line["terms"]["label"] for line in first) / 3
    assert figure.data[0].y[0] == pytest.approx(expected)


def test_a_negative_term_has_no_share():
    step = epoch("student", 0, 1, terms={"a": 1.0, "b": -1.0}, weights={"a": 1.0, "b": 1.0})

    assert share_figure(RunRecord("signed", epochs=(step,))) is None


def test_names_reach_plotly_escaped():
    step = epoch("student", 0, 1, terms={HOSTILE: 1.0, "b": 1.0}, weights={HOSTILE: 1.0, "b": 1.0})

    figure = share_figure(RunRecord("hostile", epochs=(step,)))

    assert figure.data[0].name == label(HOSTILE) == "&lt;b&gt;kd&lt;/b&gt; &amp; &lt;script&gt;"
