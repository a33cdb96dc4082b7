import json
from pathlib import Path
from typing import Any

import pytest

from stillhouse.errors import RunError
from stillhouse.records.checked import write_checked
from stillhouse.records.run import EpochScores
from stillhouse.report import read_run
from stillhouse.report.wording import flat


def test_a_finished_run_is_read_as_written(made):
    record = read_run(made.write())

    assert record.finished
    assert record.missing == ()
    assert record.scores.title == "resnet20 -> resnet8w8 on digits by kd"
    assert (record.scores.data.train, record.scores.data.image) == (1294, (1, 8, 8))
    assert flat(record.scores.method.settings) == (("temperature", "4.0"), ("weight", "0.9"))
    assert [model.role for model in record.models] == ["teacher", "control", "student"]
    student = record.role("student")
    assert (student.parameters, student.bytes) == (43250, 175283)
    assert student.runs[1].seed == 1
    assert student.runs[1].test == EpochScores(last=0.9667, best=0.9657)
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

    record = read_run(made.write())
    student, control = record.epochs

    assert dict(student.terms) == {"label": 0.4, "kd": None}
    assert dict(student.weights) == {"label": 0.1}
    assert record.validation(student) == 0.9
    assert (control.seed, record.validation(control)) == (None, 0.7)


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

    record = read_run(made.write())

    assert len(record.epochs) == 7 * 30
    assert record.validation(record.epochs[-1]) == 0.123


def changed(found: Any, path: str, value: Any) -> None:
    """Put a value where a dotted path leads."""
    *above, last = path.split(".")
    for key in above:
        found = found[int(key)] if isinstance(found, list) else found[key]
    found[last] = value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("seconds", float("inf"), "seconds: Input should be a valid number"),  # written as null
        ("seconds", "many", "seconds: Input should be a valid number"),
        ("data", [1, 2], "data: "),
        ("models.2.parameters", "many", r"models\.2\.parameters: Input should be a valid integer"),
        ("models.2.runs.0.test.last", "0.5", r"models\.2\.runs\.0\.test\.last: .*number"),
        ("models.2.runs.0.tset", {}, r"models\.2\.runs\.0\.tset: Extra inputs"),
        ("verdict.gains", [None], r"verdict\.gains\.0: "),
        ("task.metric.scale", None, r"task\.metric\.scale: "),
    ],
)
def test_what_does_not_fit_is_named_with_its_file_and_field(made, path, value, said: str):
    changed(made.scores, path, value)

    with pytest.raises(
        RunError, match=rf"scores\.json is damaged: {said}.*the same command makes it again"
    ):
        read_run(made.write())


@pytest.mark.parametrize("of", ["metrics", "products"])
def test_so_it_is_in_other_files(made, of: str):
    if of == "metrics":
        made.metrics[2]["terms"] = {"label": "small"}
        said = r"metrics\.jsonl, line 3 is damaged: terms\.label: "
    else:
        del made.products["products"][0]["sha256"]
        said = r"products\.json is damaged: products\.0\.sha256: Field required"

    with pytest.raises(RunError, match=said):
        read_run(made.write())


@pytest.mark.parametrize(
    ("schema", "said"),
    [(2, "is of schema 2 and this version reads 1.*or use the version"), (None, "says no schema")],
)
def test_a_file_of_another_version_is_refused(made, schema, said: str):
    made.scores.pop("schema") if schema is None else made.scores.update(schema=schema)

    with pytest.raises(RunError, match=rf"scores\.json.* {said}"):
        read_run(made.write())


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
    with pytest.raises(RunError, match=r"runs in it are .*run"):
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


def test_a_key_of_scores_that_is_missing_is_named(run_directory: Path):
    whole = json.loads((run_directory / "scores.json").read_text(encoding="utf-8"))
    for key in set(whole) - {"schema", "checksum"}:
        rest = {name: value for name, value in whole.items() if name not in (key, "checksum")}
        write_checked(run_directory / "scores.json", rest)
        with pytest.raises(RunError, match=rf"scores\.json is damaged: {key}: Field required"):
            read_run(run_directory)
