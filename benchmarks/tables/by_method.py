"""What the result files say of each method: a row for each arm or run that tried it as a method."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marks import result
from result_files import RESULTS
from stillhouse.methods import find_method
from stillhouse.report.study_record import tested
from stillhouse.report.study_rows import gain_words
from stillhouse.report.wording import count, interval
from tables.arms import gain_text, word_text
from tables.restored import restored
from tables.runs import judged

OF_A_METHOD = ("method", "tune", "balance", "peers", "epochs", "batch")
"""Settings of arms that try a method; others try a teacher, a student or a transfer set."""


@dataclass(frozen=True)
class Measured:
    """What an arm or a run came to.

    Args:
        file: the result file.
        data: the set, with its number of training rows.
        networks: teacher and student.
        arm: its name in the study, or the settings of a run.
        student: the test metric over seeds.
        gain: over the control, with its 95 % interval.
        word: of the test, corrected for the arms of the study.
    """

    file: str
    data: str
    networks: str
    arm: str
    student: str
    gain: str
    word: str


def by_method() -> dict[str, list[Measured]]:
    """All that was measured, by the name of the method, in the order of files and studies."""
    found: dict[str, list[Measured]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        held = result(path.name)
        if not isinstance(held, dict) or "recipe" not in held:
            continue
        rows = _study(path.name, held) if "study" in held else _run(path.name, held)
        for method, row in rows:
            found.setdefault(method, []).append(row)
    return found


def _study(name: str, held: Mapping[str, Any]) -> Iterator[tuple[str, Measured]]:
    record = restored(held)
    data = held["study"]["data"]
    for arm in record.arms:
        of_method = all(_tries_a_method(*each) for each in arm.settings.items())
        if of_method and arm.gain is not None and arm.state == "finished":
            said = gain_words(arm.gain, record.metric)
            test = interval(tested(arm.runs), record.metric)
            test = f"{test} {_metric(record.metric)}".strip()
            networks = _networks(arm.teacher_model, arm.student_model)
            told = (arm.name, test, gain_text(said), word_text(said))
            yield arm.method, Measured(name, _data(data), networks, *told)


def _tries_a_method(key: str, value: Any) -> bool:
    """Whether a setting of an arm is the method's; several teachers are those of a method too."""
    return key.split(".")[0] in OF_A_METHOD or (key == "teacher" and isinstance(value, list))


def _run(name: str, held: Mapping[str, Any]) -> Iterator[tuple[str, Measured]]:
    scores = held["scores"]
    models = {model["role"]: model["model"] for model in scores["models"]}
    metric = scores["task"]["metric"]["name"] if "task" in scores else "accuracy"
    if "control" not in models or metric != "accuracy" or scores.get("transfer") is not None:
        return
    networks = _networks(models.get("teacher"), models["student"])
    student, gain, word = judged(scores)
    method = scores["method"]
    row = (name, _data(scores["data"]), networks, _settings(method), student, gain, word)
    yield method["name"], Measured(*row)


def _settings(method: Mapping[str, Any]) -> str:
    """What a run set otherwise than the method's defaults.

    >>> _settings({"name": "kd", "settings": {"temperature": 4.0, "weight": 9.0}})
    'kd, weight 9.0'
    """
    usual = find_method(method["name"]).settings
    given = {key: value for key, value in method["settings"].items() if key in usual}
    other = [f"{key} {value}" for key, value in given.items() if value != usual[key].default]
    return ", ".join([method["name"], *other])


def _metric(metric: Any) -> str:
    return "%" if metric.name == "accuracy" else f"{metric.name} {metric.unit or ''}".strip()


def _data(data: Mapping[str, Any]) -> str:
    return f"{data['name']}, {count(data['train'])} rows"


def _networks(teacher: str | None, student: str) -> str:
    shown = [each.rpartition(":")[2] for each in (teacher, student) if each]
    return " \u2192 ".join(shown)
