"""study.json: the arms of a study side by side, from the scores.json of each."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stillhouse.diagnostics.comparisons import Paired, corrected, judged, paired_t
from stillhouse.diagnostics.spread import spread
from stillhouse.errors import RunError
from stillhouse.recipes.networks import titled
from stillhouse.recipes.study import Study
from stillhouse.runs.judging.scores import SCORES

FINISHED, DIVERGED, WAITING = "finished", "diverged", "waiting"
SAME_TEST = ("source", "image", "label", "test", "split_seed", "size")
"""Keys of the data section that decide the test images: only over the same ones are arms paired."""
KEPT = ("seed", "test", "validation", "heads", "diagnostics", "seconds")

Entry = dict[str, Any]


def study_table(
    study: Study,
    out: Path,
    directories: Mapping[str, Path],
    states: Mapping[str, Mapping[str, str]],
    *,
    created: str,
    seconds: float,
) -> Entry:
    """Everything that the table and the report of a study show.

    Args:
        study, out: the study and its directory.
        directories: of the arms.
        states: of the arms: finished, diverged or waiting, with fingerprint and message, and the
            stage that diverged where it was not the student.
        created: when the study was begun.
        seconds: spent on it.
    """
    arms: list[Entry] = []
    steps: dict[str, float | None] = {}
    data: Entry = {}
    for name in study.arms:
        entry: Entry = {
            "name": name,
            **_about(study, name),
            "directory": Path(os.path.relpath(directories[name], out)).as_posix(),
            **states[name],
        }
        scores = _scores(directories[name]) if entry["state"] == FINISHED else {}
        data = data or scores.get("data", {})
        steps[name] = _step(scores)
        arms.append({**entry, **_numbers(scores)})
    against = chosen(study, arms)
    _compare(arms, study, steps, against)
    return {
        "title": study.title,
        "created": created,
        "seconds": round(seconds, 2),
        "finished": all(entry["state"] != WAITING for entry in arms),
        "data": data,
        "axis": study.axis,
        "against": against,
        "rivals": list(study.rivals),
        "swept": list(study.swept),
        "arms": arms,
    }


def _about(study: Study, name: str) -> Entry:
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


def _scores(directory: Path) -> Entry:
    path = directory / SCORES
    try:
        found: Entry = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); delete {directory}, run again") from None
    return found


def _step(scores: Mapping[str, Any]) -> float | None:
    """What the test accuracies of an arm are multiples of: one image."""
    images = scores.get("data", {}).get("test")
    return 1 / images if images else None


def _numbers(scores: Mapping[str, Any]) -> Entry:
    models = {model["role"]: model for model in scores.get("models", [])}
    found: Entry = {}
    for role, key in (("student", "runs"), ("control", "controls"), ("teacher", "teacher")):
        runs = models.get(role, {}).get("runs", [])
        found[key] = [{part: run[part] for part in KEPT if part in run} for run in runs]
    transfer = scores.get("transfer")
    if transfer:
        found["transfer"] = {key: transfer[key] for key in ("method", "count", "seconds")}
    found |= {f"{role}_parameters": model["parameters"] for role, model in models.items()}
    return found


def last_by_seed(runs: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Test accuracy of the last epoch, by seed.

    >>> last_by_seed([{"seed": 3, "test": {"last": 0.5, "best": 0.6}}])
    {3: 0.5}
    """
    return {run["seed"]: run["test"]["last"] for run in runs}


def differences(mine: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Mine minus theirs, over the seeds that both have.

    >>> differences({0: 0.75, 1: 0.5}, {1: 0.25})
    [0.25]
    """
    return [value - theirs[seed] for seed, value in mine.items() if seed in theirs]


def chosen(study: Study, arms: Sequence[Entry]) -> str | None:
    """The arm that others are compared with: of several the best on validation, last epoch.

    Only arms that have ended count; of equal ones the first.
    """
    if len(study.rivals) <= 1:
        return study.against
    found = {}
    for entry in arms:
        known = [run.get("validation", {}).get("last") for run in entry["runs"]]
        shares = [share for share in known if share is not None]
        if entry["name"] in study.rivals and shares:
            found[entry["name"]] = sum(shares) / len(shares)
    return max(found, key=lambda name: found[name]) if found else None


def _compare(
    arms: Sequence[Entry], study: Study, steps: Mapping[str, float | None], against: str | None
) -> None:
    """Add the gains over control and over one arm; each family of comparisons is corrected."""
    last = {entry["name"]: last_by_seed(entry["runs"]) for entry in arms}
    over_control: dict[str, Paired | None] = {}
    over_arm: dict[str, Paired | None] = {}
    for entry in arms:
        name = entry["name"]
        alone, step = last_by_seed(entry["controls"]), steps[name]
        over_control[name] = paired_t(differences(last[name], alone), step=step)
        if against is not None and against != name and _same_test(study, name, against):
            over_arm[name] = paired_t(differences(last[name], last[against]), step=step)
    for key, family in (("gain", over_control), ("over_against", over_arm)):
        by_name = dict(zip(family, corrected(list(family.values())), strict=True))
        for entry in arms:
            entry[key] = _said(family.get(entry["name"]), by_name.get(entry["name"]))


def _same_test(study: Study, name: str, other: str) -> bool:
    mine, theirs = study.arms[name].data, study.arms[other].data
    return all(getattr(mine, key) == getattr(theirs, key) for key in SAME_TEST)


def _said(found: Paired | None, p_holm: float | None) -> Entry | None:
    if found is None:
        return None
    said = {key: value for key, value in asdict(found).items() if key != "count"}
    return {**said, "p_holm": p_holm, "word": judged(found, p_holm), "seeds": found.count}


def arm_line(entry: Mapping[str, Any]) -> str:
    """An arm in a line, for those who wait.

    >>> arm_line({"name": "kd", "state": "diverged", "message": "term 'kd' is not finite"})
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
        half = "" if found.half is None else f" ± {100 * found.half:.2f}"
        line += f" test {100 * found.mean:.2f}{half} %"
    if gain is not None:
        line += f", {100 * gain['mean']:+.2f} over its control"
        if gain["low"] is not None:
            line += f" ({100 * gain['low']:+.2f} to {100 * gain['high']:+.2f})"
    return f"{line}, {sum(run['seconds'] for run in runs) / len(runs):.1f} s per run"
