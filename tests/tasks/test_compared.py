"""The record of compared embeddings: values, paired gains, the ROC curve, and what is left out."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from stillhouse.errors import DataError
from stillhouse.records.answers import Answers
from stillhouse.records.figures import TableFigures
from stillhouse.tasks import Verification
from stillhouse.verification.pairs import Pairs, all_pairs, pair_cosines

WHO = np.repeat(np.arange(8), 4)


def answers(**noise: float) -> Answers:
    draw = np.random.default_rng(1)
    centres = draw.normal(size=(8, 6))[WHO]
    of = {}
    for role, spread in noise.items():
        for seed in (0, 1, 2):
            z = torch.tensor(centres + spread * draw.normal(size=centres.shape)).float()
            of[role, seed] = {"embedding": z}
    return Answers(torch.tensor(WHO), of)


@pytest.fixture(scope="module")
def found() -> tuple[Answers, TableFigures]:
    said = answers(control=1.5, student=0.5)
    record = Verification().figures(said, None, "test")
    assert record is not None
    assert TableFigures.checked(record.plain()) == record, "it is written and read"
    return said, record


def test_each_figure_is_that_of_scikit_learn_by_seed_and_in_the_mean(found) -> None:
    said, record = found
    pairs = all_pairs(WHO)
    for network in record.networks:
        aucs = [
            roc_auc_score(pairs.same, pair_cosines(said.of[network.role, seed]["embedding"], pairs))
            for seed in network.seeds
        ]
        auc = network.figures["AUC"]
        assert auc.by_seed == pytest.approx(aucs)
        assert auc.value == pytest.approx(np.mean(aucs))
        assert auc.low < auc.value < auc.high


def test_a_gain_is_positive_where_the_student_is_better_whichever_way_the_metric_goes(found):
    _, record = found
    control, student = record.networks
    for name, sign in (("EER", -1), ("AUC", 1)):
        gain = record.gains[name]
        mine, theirs = student.figures[name], control.figures[name]
        assert gain.value == pytest.approx(sign * (mine.value - theirs.value))
        assert 0 < gain.low < gain.value < gain.high
        assert gain.seeds_low < gain.value < gain.seeds_high


def test_the_drawn_curve_goes_through_the_points_of_the_table(found) -> None:
    said, record = found
    roc = record.plots[0]
    assert roc.log_x
    pairs = all_pairs(WHO)
    for series, network in zip(roc.series, record.networks, strict=True):
        assert [x for x, _ in series.marked] == [10.0, 1.0]
        for (_, y), name in zip(series.marked, ("TAR at FAR 0.1", "TAR at FAR 0.01"), strict=True):
            assert y == pytest.approx(100 * network.figures[name].value, abs=1e-3)
        curves = []
        for seed in network.seeds:
            score = pair_cosines(said.of[network.role, seed]["embedding"], pairs)
            curves.append(roc_curve(pairs.same, score, drop_intermediate=False)[:2])
        for x, y in list(zip(series.x, series.y, strict=True))[::10]:
            tar = [tpr[np.searchsorted(fpr, x / 100 + 1e-7, "right") - 1] for fpr, tpr in curves]
            assert y == pytest.approx(100 * np.mean(tar), abs=1e-3)


def test_a_histogram_is_the_share_of_either_kind_and_what_is_left_out_is_said(found) -> None:
    _, record = found
    for plot in record.plots[1:]:
        assert [sum(series.y) for series in plot.series] == pytest.approx([100, 100], abs=1e-3)
    assert record.about.startswith("496 pairs of 32 images of 8 people")
    assert (
        record.notes[0] == "TAR at FAR 0.001 needs 1,000 pairs of different people, there are 448."
    )
    assert [metric.name for metric in record.metrics][-1] == "TAR at FAR 0.01"


def test_one_seed_has_no_interval_over_seeds_and_classes_are_called_so() -> None:
    both = answers(control=1.0, student=1.0)
    said = Answers(both.label, {key: each for key, each in both.of.items() if key[1] == 0})
    record = Verification().figures(said, None, "unseen")
    assert (record.over, record.count) == ("classes", 8)
    assert record.gains["EER"].seeds_low is None
    assert record.gains["EER"].low is not None


def test_pairs_with_folds_have_an_accuracy_and_its_interval() -> None:
    pairs = all_pairs(WHO)
    listed = Pairs(pairs.first, pairs.second, pairs.same, np.arange(len(pairs)) % 4)
    record = Verification().figures(answers(student=0.7), listed, "test")
    (student,) = record.networks
    accuracy = student.figures["accuracy"]
    assert accuracy.low < accuracy.value < accuracy.high
    assert not any("Accuracy" in note for note in record.notes)
    assert not record.gains, "there is no control"


def test_an_embedding_that_is_no_number_is_told_with_its_network() -> None:
    said = answers(student=1.0)
    said.of["student", 1]["embedding"][3, 0] = float("nan")
    with pytest.raises(DataError, match="student, seed 1: the embedding of image 3 has values"):
        Verification().figures(said, None, "test")
