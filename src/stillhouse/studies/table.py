"""study.json: the arms of a study side by side, from the scores.json of each."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.recipes.networks import titled
from stillhouse.recipes.study import Study
from stillhouse.records.costs import COSTS, Costs, NetworkCosts
from stillhouse.records.metric import CLASSIFICATION, Metric
from stillhouse.records.run import SCORES, Scores, SeedScores
from stillhouse.records.study import Arm, ArmTransfer, StudyTable
from stillhouse.studies.comparisons import compared
from stillhouse.studies.directory import said_of_arm
from stillhouse.verdict.spread import spread

FINISHED, DIVERGED, WAITING = "finished", "diverged", "waiting"
SAME_TEST = (
    "source", "image", "label", "text", "tokens", "test", "split_seed", "size", "load_size",
    "crop_pct", "unseen", "pairs", "folds", "min_per_class",
)  # fmt: skip
"""Keys of the data section that decide the test images: only over the same ones are arms paired."""


def study_table(
    study: Study,
    out: Path,
    directories: Mapping[str, Path],
    states: Mapping[str, Mapping[str, str]],
    *,
    created: str,
    seconds: float,
) -> StudyTable:
    """Everything that the table and the report of a study show.

    Args:
        study, out: the study and its directory.
        directories: of the arms.
        states: of the arms: finished, diverged or waiting, with fingerprint and message, and the
            stage that diverged where it was not the student.
        created: when the study was begun.
        seconds: spent on it.
    """
    scores = {}
    for name in study.arms:
        if states[name]["state"] == FINISHED:
            with said_of_arm(name, directories[name]):
                scores[name] = Scores.read(directories[name] / SCORES)
    first = next(iter(scores.values()), None)
    task = first.task if first else CLASSIFICATION
    arms = [
        Arm.model_validate({
            "name": name,
            **_about(study, name),
            "directory": Path(os.path.relpath(directories[name], out)).as_posix(),
            **states[name],
            **_numbers(scores.get(name)),
            "costs": _costs(directories[name]) if name in scores else None,
        })
        for name in study.arms
    ]  # fmt: skip
    against = chosen(study, arms, task.metric)
    return StudyTable(
        task=task,
        title=study.title,
        created=created,
        seconds=round(seconds, 2),
        finished=all(arm.state != WAITING for arm in arms),
        data=first.data if first else None,
        axis=study.axis,
        against=against,
        rivals=tuple(study.rivals),
        claims=tuple(study.claims),
        margin=study_margin(study, task.metric),
        swept=tuple(study.swept),
        arms=compared(
            arms,
            against,
            task.metric,
            steps=_steps(scores, task.metric),
            same_test=[n for n in study.arms if against and _same_test(study, n, against)],
            claims=study.claims,
            margin=study_margin(study, task.metric),
        ),
    )


def _about(study: Study, name: str) -> dict[str, Any]:
    recipe = study.arms[name]
    return {
        "settings": dict(study.settings[name]),
        "at": study.axis_value(name),
        "method": recipe.method.name,
        "teacher_model": titled(recipe.teacher) if recipe.teacher else None,
        "student_model": recipe.student.model,
        "epochs": recipe.epochs,
        "batch": recipe.batch,
    }


def _numbers(scores: Scores | None) -> dict[str, Any]:
    """What the table takes over from the scores of an arm; nothing of one that is not finished."""
    models = {model.role: model for model in scores.models} if scores else {}
    found: dict[str, Any] = {"gain": None, "over_against": None}
    for role, key in (("student", "runs"), ("control", "controls"), ("teacher", "teacher")):
        runs = models[role].runs if role in models else ()
        found[key] = tuple(
            SeedScores(**{part: getattr(run, part) for part in SeedScores.model_fields})
            for run in runs
        )
    made = scores.transfer if scores else None
    if made is not None:
        found["transfer"] = ArmTransfer(method=made.method, count=made.count, seconds=made.seconds)
    found["with_rows"] = scores.verdict.with_rows if scores and scores.verdict else None
    found["cautions"] = scores.cautions if scores else ()
    found["parameters"] = {role: model.parameters for role, model in models.items()}
    return found


def _costs(directory: Path) -> NetworkCosts | None:
    """What it costs to use the student of an arm, where that was measured."""
    path = directory / COSTS
    return Costs.read(path).networks[-1] if path.is_file() else None


def chosen(study: Study, arms: Sequence[Arm], metric: Metric) -> str | None:
    """The arm that others are compared with: of several the best on validation, last epoch.

    Only arms that have ended count; of equal ones the first.
    """
    if len(study.rivals) <= 1:
        return study.against
    found = {}
    for arm in arms:
        known = spread(run.validation.last for run in arm.runs)
        if arm.name in study.rivals and known is not None:
            found[arm.name] = metric.gain(known.mean, 0.0)
    return max(found, key=lambda name: found[name]) if found else None


def _steps(scores: Mapping[str, Scores], metric: Metric) -> dict[str, float | None]:
    """What the values of each arm are multiples of: a share is one of a test row."""
    rows = {name: each.data.test for name, each in scores.items()}
    return {name: 1 / count if count and metric.share else None for name, count in rows.items()}


def study_margin(study: Study, metric: Metric) -> float | None:
    """The difference that does not matter, unscaled as the values of the metric are."""
    return None if study.margin is None else study.margin / metric.scale


def _same_test(study: Study, name: str, other: str) -> bool:
    mine, theirs = study.arms[name].data, study.arms[other].data
    return all(getattr(mine, key) == getattr(theirs, key) for key in SAME_TEST)


def arm_line(entry: Mapping[str, Any], metric: Metric) -> str:
    """An arm of study.json in a line, for those who wait.

    >>> from stillhouse.records.metric import ACCURACY
    >>> told = {"name": "kd", "state": "diverged", "message": "term 'kd' is not finite"}
    >>> arm_line(told, ACCURACY)
    "kd: diverged (term 'kd' is not finite)"
    """
    if entry["state"] != FINISHED:
        why = entry.get("message", "not run yet").split(";")[0]
        who = f"the {entry['stage']} " if entry.get("stage") else ""
        return f"{entry['name']}: {who}{entry['state']} ({why})"
    runs, gain = entry["runs"], entry["gain"]
    found = spread(run["test"]["last"] for run in runs)
    line = f"{entry['name']}:"
    if found is not None:
        half = "" if found.half is None else f" ± {metric.shown(found.half)}"
        line += f" test {metric.shown(found.mean)}{half} {metric.unit}".rstrip()
    if gain is not None:
        beside = "over its control" if metric.higher_is_better else "than its control"
        line += f", {metric.moved(gain['mean'], minus='-')} {beside}"
        if gain["low"] is not None:
            line += f" ({metric.span(gain['low'], gain['high'], minus='-')})"
    return f"{line}, {sum(run['seconds'] for run in runs) / len(runs):.1f} s per run"
