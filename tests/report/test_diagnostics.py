"""Diagnostics in the report: over epochs, beside the control, class by class, and hostile ones."""

import math

import pytest
from epochs import epoch

from stillhouse.report import read_run
from stillhouse.report.diagnostics import control_level, diagnostic_figure, other_panels, scalar
from stillhouse.report.likeness import heads_by_class, heads_figure, likeness_panels
from stillhouse.report.projector import projector_panels, spectra, spectrum_figure
from stillhouse.report.record import RunRecord

CLASSES = 10


def traces(figure) -> dict:
    return {trace.name: trace for trace in figure.data if trace.name}


def test_a_diagnostic_is_drawn_over_epochs_beside_the_controls_last(with_likeness):
    figure = diagnostic_figure(read_run(with_likeness.write()), "embedding_cka")

    student = traces(figure)["student"]
    assert len(student.x) == 30
    assert student.y[-1] == pytest.approx(0.9 - 0.01 + 0.01)
    assert student.customdata[-1] == pytest.approx((0.89, 0.91))
    assert list(traces(figure)["control, last epoch"].y) == pytest.approx([0.7] * 30)
    assert traces(figure)["control, last epoch"].line.dash == "dash"


def test_of_a_list_the_mean_is_drawn(with_likeness):
    record = read_run(with_likeness.write())

    assert traces(diagnostic_figure(record, "head_cosine"))["student"].y[0] == pytest.approx(0.26)
    assert control_level(record, "head_cosine") == 0.0
    assert scalar([None, None]) is None


def test_heads_are_drawn_class_by_class(with_likeness):
    with_likeness.scores["data"]["class_names"] = [f"digit {at}" for at in range(CLASSES - 1)] + [
        "<b>"
    ]
    figure = heads_figure(read_run(with_likeness.write()))

    assert [trace.type for trace in figure.data] == ["bar", "bar"]
    assert list(traces(figure)["student"].y) == pytest.approx(
        [0.1 * at - 0.19 for at in range(CLASSES)]
    )
    assert figure.layout.xaxis.ticktext[0] == "digit 0"
    assert figure.layout.xaxis.ticktext[-1] == "&lt;b&gt;"


def test_many_heads_are_drawn_as_a_distribution(with_likeness):
    for role in ("student", "control"):
        for run in with_likeness.model(role)["runs"]:
            run["diagnostics"]["head_cosine"] = [0.001 * at for at in range(100)]
    figure = heads_figure(read_run(with_likeness.write()))

    assert [(trace.type, trace.name) for trace in figure.data] == [
        ("bar", "control"),
        ("bar", "student"),
    ]
    for trace in figure.data:
        assert sum(trace.y) == 100
        assert min(trace.x) > 0
        assert max(trace.x) < 0.099


def test_before_the_end_heads_are_those_of_the_last_epochs(with_likeness):
    with_likeness.scores = None
    record = read_run(with_likeness.write())

    assert heads_by_class(record, "student")[3] == pytest.approx(0.11)
    assert heads_by_class(record, "control") == ()
    assert [trace.name for trace in heads_figure(record).data] == ["student"]


def test_singular_values_are_shares_of_the_largest(with_likeness):
    record = read_run(with_likeness.write())

    assert spectra(record)[5] == pytest.approx((1.0, 0.5, 0.02, 0.0))
    figure = spectrum_figure(record)
    assert list(traces(figure)) == [f"epoch {n}" for n in (1, 8, 15, 23, 30)]
    lowest = 10 ** figure.layout.yaxis.range[0]
    for trace in figure.data:
        assert trace.y[0] == 1.0
        assert all(math.isfinite(value) and value >= lowest for value in trace.y)
        assert trace.y[3] == pytest.approx(1e-4)


def test_values_that_are_lost_are_left_out():
    sigma = {"projector_singular_values": [4.0, None]}
    closed = {"projector_singular_values": [0.0, 0.0], "embedding_cka": 1.0}
    empty = {"projector_singular_values": [], "head_cosine": []}
    record = RunRecord(
        "lost",
        epochs=tuple(
            epoch("student", 0, n + 1, diagnostics=g) for n, g in enumerate((sigma, closed, empty))
        ),
    )

    assert spectrum_figure(record) is None
    assert heads_figure(record) is None
    assert [panel.title for panel in likeness_panels(record)] == ["CKA of the embeddings"]


def test_a_run_without_diagnostics_shows_none_of_this(made):
    record = read_run(made.write())

    assert likeness_panels(record) == projector_panels(record) == other_panels(record, []) == ()
    assert heads_figure(record) is spectrum_figure(record) is None
