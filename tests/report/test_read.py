import json
from pathlib import Path

import pytest

from stillhouse.errors import RunError
from stillhouse.report import read_run
from stillhouse.report.record import Accuracy


def test_a_finished_run_is_read_as_written(made):
    record = read_run(made.write())

    assert record.finished
    assert record.missing == ()
    assert record.title == "resnet20 -> resnet8w8 on digits by kd"
    assert (record.data.train, record.data.image) == (1294, (1, 8, 8))
    assert record.method.settings == (("temperature", "4.0"), ("weight", "0.9"))
    assert [model.role for model in record.models] == ["teacher", "control", "student"]
    student = record.role("student")
    assert (student.parameters, student.size) == (43250, 175283)
    assert student.runs[1].seed == 1
    assert student.runs[1].test == Accuracy(last=0.9667, best=0.9657)
    assert (record.verdict.word, record.verdict.low) == ("helps", 0.0087)
    assert record.recipe == made.recipe
    assert record.environment[0][0] == ""
    assert ("python", "3.11.7") in record.environment[0][1]
    assert record.environment[1] == (
        "device",
        (("kind", "cpu"), ("cores", "2"), ("threads", "1")),
    )
    assert record.products[0].file == "student.safetensors"


def test_epochs_carry_terms_weights_and_the_accuracy_of_their_own_logits(made):
    made.metrics = [
        {
            "event": "epoch",
            "stage": "student",
            "seed": 0,
            "epoch": 1,
            "terms": {"label": 0.4, "kd": None},
            "weights": {"label": 0.1},
            "validation": {
                "teacher head": {"accuracy": 0.5},
                "student.logits": {"accuracy": 0.9},
            },
        },
        {"event": "epoch", "stage": "control", "epoch": 1, "validation": {"x": {"accuracy": 0.7}}},
    ]

    student, control = read_run(made.write()).epochs

    assert dict(student.terms) == {"label": 0.4}
    assert dict(student.weights) == {"label": 0.1}
    assert student.accuracy == 0.9
    assert (control.seed, control.accuracy) == (None, 0.7)


def test_other_events_and_a_torn_last_line_are_passed_over(run_directory: Path):
    before = read_run(run_directory)
    with (run_directory / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "note", "epoch": 99, "stage": "student"}\n')
        file.write('{"event": "epoch", "stage": "student", "seed": 0, "epo')

    after = read_run(run_directory)

    assert after.epochs == before.epochs
    assert after.torn_lines == 0


def test_lines_torn_in_the_middle_are_counted(run_directory: Path):
    path = run_directory / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[5] = lines[5][:30]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    record = read_run(run_directory)

    assert record.torn_lines == 1
    assert len(record.epochs) == 7 * 30 - 1


def test_an_epoch_written_twice_counts_once_and_the_later_line_holds(made):
    again = {**made.metrics[-1], "validation": {"student.logits": {"accuracy": 0.123}}}
    made.metrics.append(again)

    epochs = read_run(made.write()).epochs

    assert len(epochs) == 7 * 30
    assert epochs[-1].accuracy == 0.123


def test_what_is_not_finite_or_of_the_wrong_kind_is_unknown(made):
    made.model("student")["parameters"] = "many"
    made.model("student")["runs"][0]["test"] = {"last": float("nan"), "best": None}
    made.scores["seconds"] = float("inf")
    made.scores["data"] = [1, 2]

    record = read_run(made.write())

    assert record.role("student").parameters is None
    assert record.role("student").runs[0].test == Accuracy(None, None)
    assert record.seconds is None
    assert record.data.name == ""


def test_classes_may_be_a_list_of_names(made):
    made.scores["data"]["classes"] = ["zero", "one"]

    data = read_run(made.write()).data

    assert (data.classes, data.class_names) == (2, ("zero", "one"))


@pytest.mark.parametrize("kept", ["scores.json", "metrics.jsonl", "resolved.yaml"])
def test_one_file_makes_a_run_and_the_rest_is_said_to_be_missing(run_directory: Path, kept: str):
    for path in run_directory.iterdir():
        if path.name != kept:
            path.unlink()

    record = read_run(run_directory)

    assert kept not in record.missing
    assert len(record.missing) == 4


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path):
    (tmp_path / "environment.json").write_text("{}", encoding="utf-8")

    with pytest.raises(RunError, match=r"has none of scores\.json, metrics\.jsonl, resolved\.yaml"):
        read_run(tmp_path)


def test_runs_one_folder_deeper_are_named(run_directory: Path):
    with pytest.raises(RunError, match="one folder deeper: run"):
        read_run(run_directory.parent)


def test_a_missing_directory_and_a_file_are_refused(run_directory: Path):
    with pytest.raises(RunError, match="there is no directory"):
        read_run(run_directory / "elsewhere")
    with pytest.raises(RunError, match="is a file"):
        read_run(run_directory / "scores.json")


@pytest.mark.parametrize(("content", "said"), [('{"title": "a', "cannot be read"), ("[]", "list")])
def test_a_damaged_file_is_named(run_directory: Path, content: str, said: str):
    (run_directory / "scores.json").write_text(content, encoding="utf-8")

    with pytest.raises(RunError, match=f"scores.json.*{said}"):
        read_run(run_directory)


def test_every_key_of_scores_may_be_missing(run_directory: Path):
    whole = json.loads((run_directory / "scores.json").read_text(encoding="utf-8"))
    for key in whole:
        rest = {name: value for name, value in whole.items() if name != key}
        (run_directory / "scores.json").write_text(json.dumps(rest), encoding="utf-8")
        assert read_run(run_directory).finished is (key != "finished")
