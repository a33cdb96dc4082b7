"""What is said of networks that were stopped while they were learning, and what rows are kept."""

import math
import shutil

import pytest
import torch

import stillhouse as sh
from stillhouse.records.answers import Answers, read_answers
from stillhouse.records.costs import Costs
from stillhouse.records.examples import read_examples
from stillhouse.records.metric import ACCURACY, Metric, TaskRecord
from stillhouse.records.run import ModelRecord, Scores, TrainedRun
from stillhouse.report import write_report
from stillhouse.report.agreement import agreement, examples
from stillhouse.report.by_class import by_class
from stillhouse.report.calibration import calibrated
from stillhouse.report.record import RunRecord, read_run
from stillhouse.runs.judging.regime import cautions, rise
from stillhouse.runs.run import Outcome

STRAIGHT = [n / 20 for n in range(1, 21)]
LOSS = Metric(name="loss", unit="nats", higher_is_better=False)


@pytest.mark.parametrize(
    ("validation", "metric", "wanted"),
    [
        (STRAIGHT, ACCURACY, 0.2),  # 4 of 20 epochs
        ([1 - math.exp(-n / 3) for n in range(20)], ACCURACY, None),  # it has settled
        ([0.5 + 0.0005 * n for n in range(20)], ACCURACY, None),  # a rise of 2 thousandths
        ([1 - v for v in STRAIGHT], LOSS, 0.2),  # lower is better
        ([1 - v for v in STRAIGHT], ACCURACY, None),  # it falls
        ([0.1, 0.9], ACCURACY, 0.8),
        ([0.85, *[0.90, 0.91] * 10], ACCURACY, None),  # it has settled, and differs by chance
        ([0.85, *[0.90, 0.91] * 8, 0.91, 0.92, 0.94, 0.96], ACCURACY, 0.06),
        ([0.5], ACCURACY, None),
        ([0.1, None, 0.9], ACCURACY, None),
        ([], ACCURACY, None),
    ],
)
def test_a_rise_is_what_the_last_fifth_brought(validation, metric, wanted) -> None:
    assert rise(validation, metric) == (None if wanted is None else pytest.approx(wanted))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return sh.distill(
        data={"source": "digits", "limit": 200, "augment": "none"}, student="mlp-16",
        teacher="mlp-32", out=tmp_path_factory.mktemp("kept") / "run", epochs=6, batch=20,
        seeds=2, precision="fp32",
    )  # fmt: skip


def test_each_answer_is_that_of_the_network(run: Outcome) -> None:
    """Recomputed from the product of the run, row by row."""
    answers = read_answers(run.directory)
    first = answers.of["student", 0]
    tested = run.scores["models"][-1]["runs"][0]["test"]["last"]
    assert first["accuracy"].double().mean().item() == pytest.approx(tested, abs=1e-7)
    assert torch.equal(first["accuracy"].bool(), first["predicted"] == answers.label)
    assert set(answers.of) == {
        ("teacher", 0), ("control", 0), ("control", 1), ("student", 0), ("student", 1),
    }  # fmt: skip


def trained(training: float, test: float, rose: float | None) -> TrainedRun:
    both = {"last": test, "best": test}
    return TrainedRun.model_validate({
        "seed": 0, "seconds": 1.0, "validation": both, "test": both, "epochs": 12,
        "best_epoch": 12, "reused": False, "training": training, "rise": rose, "last_part": rose,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("training", "test", "rose", "wanted"),
    [
        (0.57, 0.558, 0.08, ["still rising: it gained +8.00 points of validation accuracy"]),
        (0.57, 0.558, None, ["under-fits: its accuracy is 57.00% on what it was trained on"]),
        (0.999, 0.93, None, []),
        (0.80, 0.70, None, []),  # it knows more than it can use: no lack of training
        (0.97, 0.965, None, []),
    ],
)
def test_what_is_said_of_a_control(training, test, rose, wanted) -> None:
    run = trained(training, test, rose)
    control = ModelRecord(role="control", model="m", parameters=1, bytes=1, runs=(run,))
    teacher = control.model_copy(update={"role": "teacher"})
    said = list(cautions([teacher, control], ACCURACY))
    assert len(said) == len(wanted)
    assert all(part in line for part, line in zip(wanted, said, strict=True))
    if rose:
        assert "over the last 3 of its 12 epochs" in said[0]


def test_what_is_said_is_a_mean_over_all_seeds_and_knows_the_direction() -> None:
    """One seed of three did not rise: its gain counts; an error of 2 % is no lack of training."""
    rose = [trained(0.57, 0.558, one) for one in (0.08, 0.04, None)]
    runs = (*rose[:2], rose[2].model_copy(update={"last_part": -0.03}))
    control = ModelRecord(role="control", model="m", parameters=1, bytes=1, runs=runs)
    assert "it gained +3.00 points" in next(iter(cautions([control], ACCURACY)))
    error = Metric(name="error", unit="%", scale=100.0, higher_is_better=False, share=True)
    for seen, test, words in ((0.02, 0.03, 0), (0.43, 0.442, 1), (0.2, 0.3, 0)):
        one = control.model_copy(update={"runs": (trained(seen, test, None),)})
        assert len(list(cautions([one], error))) == words
    falls = control.model_copy(update={"runs": (trained(0.4, 0.41, 0.08),)})
    said = "The control is still learning: its validation error fell by 8.00 points over the last 3"
    assert next(iter(cautions([falls], error))).startswith(said)


def test_what_each_network_costs_stands_beside_the_run(run: Outcome) -> None:
    costs = Costs.read(run.directory / "costs.json")
    teacher, student = costs.networks
    assert (teacher.name, teacher.macs) == ("teacher", 64 * 32 + 32 * 10)
    assert (student.name, student.macs) == ("student", 64 * 16 + 16 * 10)
    assert student.parameters == 64 * 16 + 16 + 16 * 10 + 10
    assert set(student.milliseconds) == {"1", "64"}
    assert student.test == run.scores["models"][-1]["runs"][0]["test"]["last"]
    assert costs.derive == {}


def test_the_report_counts_as_a_loop_does(run: Outcome) -> None:
    record, answers = read_run(run.directory), read_answers(run.directory)
    label = answers.label.tolist()
    mine, theirs, teacher = (
        [answers.of[role, seed]["predicted"].tolist() for seed in seeds]
        for role, seeds in (("student", (0, 1)), ("control", (0, 1)), ("teacher", (0,)))
    )
    told = {row.name: row for row in by_class(record).classes}
    for k in set(label):
        rows = [i for i, own in enumerate(label) if own == k]
        share = sum(said[i] == k for said in mine for i in rows) / (2 * len(rows))
        assert told[str(k)].student == pytest.approx(share)
        assert told[str(k)].rows == len(rows)
    pairs = [(k, j) for k in range(10) for j in range(10) if k != j]

    def count(said: list[list[int]], k: int, j: int) -> float:
        return sum(one[i] == j for one in said for i in range(len(label)) if label[i] == k) / 2

    worst = max(count(mine, k, j) - count(theirs, k, j) for k, j in pairs)
    first = by_class(record).appeared[0]
    assert first.student - first.control == pytest.approx(worst)
    student = next(each for each in agreement(record) if each.role == "student")
    same = [
        sum(a == b for a, b in zip(said, teacher[0], strict=True)) / len(label) for said in mine
    ]
    assert student.rows == pytest.approx(sum(same) / 2)
    calibration = next(each for each in calibrated(record) if each.role == "student")
    losses = [answers.of["student", seed]["loss"].double().mean().item() for seed in (0, 1)]
    assert calibration.nll == pytest.approx(sum(losses) / 2)


def test_rows_of_a_metric_of_errors_are_right_where_it_is_zero() -> None:
    error = Metric(name="error", higher_is_better=False, share=True)
    sure, loss = torch.tensor([0.9, 0.9, 0.9, 0.5]), torch.ones(4)
    wrong = torch.tensor([0, 0, 0, 1], dtype=torch.uint8)
    known = {"error": wrong, "confidence": sure, "loss": loss, "predicted": wrong}
    answers = Answers(torch.zeros(4), {("student", 0): known})
    assert answers.right("student", error)[0].tolist() == [1, 1, 1, 0]
    assert answers.right("student", LOSS) == {}
    task = TaskRecord(name="own", metric=error)
    student = ModelRecord(role="student", model="m", parameters=1, bytes=1,
                          runs=(trained(0.1, 0.1, None),))  # fmt: skip
    scores = Scores.model_construct(task=task, models=(student,))
    (found,) = calibrated(RunRecord(name="run", scores=scores, answers=answers))
    assert found.error == pytest.approx(3 / 4 * 0.1 + 1 / 4 * 0.5)


def test_examples_are_rows_on_which_both_differ(run: Outcome) -> None:
    kept, answers = read_examples(run.directory), read_answers(run.directory)
    ahead = sum(
        answers.of["student", s]["accuracy"].long() - answers.of["control", s]["accuracy"].long()
        for s in (0, 1)
    )
    assert all(ahead[kept.won] > 0)
    assert all(ahead[kept.lost] < 0)
    assert ahead[kept.won[0]] == ahead.max()
    assert kept.won_image.shape[0] == len(kept.won)
    shown = [one for _, rows in examples(read_run(run.directory)) for one in rows]
    assert {one.row for one in shown} == {*kept.won.tolist(), *kept.lost.tolist()}
    page = run.report.read_text(encoding="utf-8")
    for heading in ("Class by class", "Calibration", "Beside the teacher, row by row"):
        assert heading in page


def test_a_run_that_was_cut_off_amid_its_last_writes_has_a_page(run: Outcome, tmp_path) -> None:
    """The rows are there, and nothing says yet what they mean."""
    cut = tmp_path / "cut"
    shutil.copytree(run.directory, cut)
    (cut / "scores.json").unlink()
    page = write_report(cut).read_text(encoding="utf-8")
    assert "Not finished" in page
    assert "Class by class" not in page
