"""study.json: the arms of a study side by side, from the scores.json of each."""

import os
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.recipes.networks import titled
from stillhouse.recipes.study import Study
from stillhouse.records.metric import ACCURACY, CLASSIFICATION, Metric
from stillhouse.records.run import COSTS, SCORES, Costs, NetworkCosts, Scores, SeedScores
from stillhouse.records.study import Arm, ArmTransfer, Comparison, StudyTable
from stillhouse.studies.directory import said_of_arm
from stillhouse.verdict.judgement import Judgement, judged
from stillhouse.verdict.paired import Paired, paired
from stillhouse.verdict.spread import spread

FINISHED, DIVERGED, WAITING = "finished", "diverged", "waiting"
SAME_TEST = ("source", "image", "label", "test", "split_seed", "size")
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
    found["parameters"] = {role: model.parameters for role, model in models.items()}
    return found


def _costs(directory: Path) -> NetworkCosts | None:
    """What it costs to use the student of an arm, where that was measured."""
    path = directory / COSTS
    return Costs.read(path).networks[-1] if path.is_file() else None


def _last_by_seed(runs: Sequence[SeedScores]) -> dict[int, float]:
    """The test metric of the last epoch, by seed."""
    return {run.seed: run.test.last for run in runs if run.test.last is not None}


def differences(
    mine: Mapping[int, float], theirs: Mapping[int, float], metric: Metric = ACCURACY
) -> list[float]:
    """How much better mine are, over the seeds that both have.

    >>> differences({0: 0.75, 1: 0.5}, {1: 0.25})
    [0.25]
    """
    return [metric.gain(value, theirs[seed]) for seed, value in mine.items() if seed in theirs]


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


def compared(
    arms: Sequence[Arm],
    against: str | None,
    metric: Metric,
    *,
    steps: Mapping[str, float | None],
    same_test: Container[str],
    claims: Sequence[str] = (),
    margin: float | None = None,
) -> tuple[Arm, ...]:
    """The arms with their gains over control and over one arm; each column is judged together.

    Args:
        arms: with the scores of their runs and controls.
        against: the arm that others are compared with, or None.
        metric: that they are measured by.
        steps: what the values of an arm are multiples of, by its name; None: of nothing.
        same_test: the arms whose test rows are those of that arm.
        claims: arms whose comparisons are corrected by themselves.
        margin: a difference that does not matter, unscaled as the values are.
    """
    last = {arm.name: _last_by_seed(arm.runs) for arm in arms}
    over_control: dict[str, Paired | None] = {}
    over_arm: dict[str, Paired | None] = {}
    for arm in arms:
        name, mine, step = arm.name, last[arm.name], steps.get(arm.name)
        alone = differences(mine, _last_by_seed(arm.controls), metric)
        over_control[name] = paired(alone, step=step)
        if against is not None and against != name and name in same_test:
            over_arm[name] = paired(differences(mine, last[against], metric), step=step)
    gains = comparisons(over_control, claims, margin)
    rival_gains = comparisons(over_arm, claims, margin)
    return tuple(
        arm.model_copy(update={"gain": gains[arm.name], "over_against": rival_gains.get(arm.name)})
        for arm in arms
    )


def study_margin(study: Study, metric: Metric) -> float | None:
    """The difference that does not matter, unscaled as the values of the metric are."""
    return None if study.margin is None else study.margin / metric.scale


def comparisons(
    column: Mapping[str, Paired | None], claims: Sequence[str] = (), margin: float | None = None
) -> dict[str, Comparison | None]:
    """What is said of each arm of a column, judged together; claims are corrected by themselves."""
    primary = [name in claims for name in column] if claims else None
    found = judged(list(column.values()), primary=primary, margin=margin)
    return {name: _said(one) for name, one in zip(column, found, strict=True)}


def _same_test(study: Study, name: str, other: str) -> bool:
    mine, theirs = study.arms[name].data, study.arms[other].data
    return all(getattr(mine, key) == getattr(theirs, key) for key in SAME_TEST)


def _said(found: Judgement | None) -> Comparison | None:
    if found is None:
        return None
    return Comparison(
        mean=found.mean,
        low=found.low,
        high=found.high,
        p=found.p,
        p_holm=found.p_corrected,
        p_equivalent=found.p_equivalent,
        word=found.word,
        seeds=found.count,
    )


def arm_line(entry: Mapping[str, Any], metric: Metric) -> str:
    """An arm of study.json in a line, for those who wait.

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
        mean, low, high = (metric.signed(gain[key], minus="-") for key in ("mean", "low", "high"))
        line += f", {mean} over its control"
        if gain["low"] is not None:
            line += f" ({low} to {high})"
    return f"{line}, {sum(run['seconds'] for run in runs) / len(runs):.1f} s per run"
