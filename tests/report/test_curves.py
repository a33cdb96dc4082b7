from epochs import epoch

from stillhouse.records.stage import Epoch
from stillhouse.report.curves import (
    student_terms,
    term_curve,
    term_weights,
    validation_curve,
    weighted_curve,
)
from stillhouse.report.record import RunRecord


def record(*epochs: Epoch) -> RunRecord:
    return RunRecord("hand-made", epochs=epochs)


def test_mean_and_band_are_over_the_seeds_that_reached_the_epoch():
    found = validation_curve(
        record(
            epoch("student", 0, 1, value=0.2),
            epoch("student", 1, 1, value=0.6),
            epoch("student", 0, 2, value=0.8),
            epoch("student", 1, 2, None),
            epoch("control", 0, 1, value=0.0),
        ),
        "student",
    )

    assert found.epochs == (1, 2)
    assert found.mean == (0.4, 0.8)
    assert (found.low, found.high) == ((0.2, 0.8), (0.6, 0.8))
    assert found.seeds == 2


def test_a_stage_without_epochs_has_no_curve():
    assert validation_curve(record(epoch("student", 0, 1)), "student") is None


def test_terms_are_the_students_and_keep_their_order():
    run = record(
        epoch("control", 0, 1, terms={"other": 1.0}),
        epoch("student", 0, 1, terms={"label": 2.0}, weights={"label": 0.5}),
        epoch("student", 0, 2, terms={"label": 1.0, "kd": 4.0}, weights={"label": 0.25}),
    )

    assert student_terms(run) == ("label", "kd")
    assert term_curve(run, "label").mean == (2.0, 1.0)
    assert term_curve(run, "kd").epochs == (2,)
    assert weighted_curve(run, "label").mean == (1.0, 0.25)
    assert weighted_curve(run, "kd") is None
    assert term_weights(run, "label") == (0.5, 0.25)
    assert term_weights(run, "kd") is None
