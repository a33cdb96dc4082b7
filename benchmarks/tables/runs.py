"""Tables of runs, one line for each result file; their gains are judged anew."""

from collections.abc import Mapping, Sequence
from typing import Any

from marks import Results, table
from stillhouse.records.metric import ACCURACY
from stillhouse.records.run import SeedScores
from stillhouse.report.study_record import tested
from stillhouse.report.study_rows import gain_words
from stillhouse.report.wording import count, interval
from stillhouse.studies.comparisons import comparisons, differences
from stillhouse.verdict.paired import paired
from tables.arms import gain_text, word_text


def kd(results: Results, _: Sequence[str]) -> str:
    """Runs of one method on several data sets."""
    titles = ["data", "teacher", "student", "control, test %", "student, test %"]
    titles += ["gain, points", "word", "seeds", "file"]
    rows = []
    for name, found in results.items():
        scores = found["scores"]
        control, student = _interval(scores, "control"), _interval(scores, "student")
        data, (teacher,) = scores["data"], _runs(scores, "teacher")
        rows.append(
            [
                f"{data['name']}, {count(data['train'])} images",
                f"{_model(scores, 'teacher')} ({ACCURACY.shown(teacher.test.last)})",
                *(_model(scores, "student"), control, student, *_gain(scores)),
                *(str(len(_runs(scores, "student"))), _file(name)),
            ]
        )
    return table(titles, rows)


def methods(results: Results, _: Sequence[str]) -> str:
    """Runs of several methods with one student and one budget."""
    titles = ["method", "student, test %", "gain, points", "word", "file"]
    rows = []
    for name, found in results.items():
        scores = found["scores"]
        what = f"{scores['method']['name']}, `{found['command'].split()[2]}`"
        rows.append([what, _interval(scores, "student"), *_gain(scores), _file(name)])
    return table(titles, rows)


def scale(results: Results, _: Sequence[str]) -> str:
    """Runs from synthetic images alone."""
    titles = ["teacher, test %", "its weight decay", "student, last epoch", "each seed", "steps"]
    rows = []
    for name, found in results.items():
        scores, recipe = found["scores"], found["recipe"]
        (teacher,), students = _runs(scores, "teacher"), _runs(scores, "student")
        steps = recipe["epochs"] * (scores["transfer"]["images_per_epoch"] // recipe["batch"])
        rows.append(
            [
                ACCURACY.shown(teacher.test.last),
                f"{recipe['optimizer']['weight_decay']:g}",
                interval(tested(students), ACCURACY),
                ", ".join(ACCURACY.shown(run.test.last) for run in students),
                *(count(steps), _file(name)),
            ]
        )
    return table([*titles, "file"], rows)


def judged(scores: Mapping[str, Any]) -> tuple[str, str, str]:
    """The student of a run in test %, its gain over the control, and its word."""
    gain, word = _gain(scores)
    return f"{_interval(scores, 'student')} %", gain, word


def _gain(scores: Mapping[str, Any]) -> list[str]:
    """Gain over the control and its word: one comparison by itself."""
    mine, theirs = (
        {run.seed: run.test.last for run in _runs(scores, role) if run.test.last is not None}
        for role in ("student", "control")
    )
    gains = paired(differences(mine, theirs), step=1 / scores["data"]["test"])
    said = gain_words(comparisons({"run": gains})["run"], ACCURACY)
    return [gain_text(said), word_text(said)]


def _runs(scores: Mapping[str, Any], role: str) -> tuple[SeedScores, ...]:
    known = SeedScores.model_fields
    return tuple(
        SeedScores.model_validate({key: run[key] for key in known if key in run})
        for model in scores["models"]
        if model["role"] == role
        for run in model["runs"]
    )


def _model(scores: Mapping[str, Any], role: str) -> str:
    return str(next(model["model"] for model in scores["models"] if model["role"] == role))


def _interval(scores: Mapping[str, Any], role: str) -> str:
    return interval(tested(_runs(scores, role)), ACCURACY)


def _file(name: str) -> str:
    return f"`benchmarks/results/{name}`"
