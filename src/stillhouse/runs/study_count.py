"""How much a study trains: what arms share is counted once."""

from collections.abc import Iterable
from typing import Any

from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.runs.distill import Distillation
from stillhouse.runs.feeds import data_identity
from stillhouse.runs.fingerprint import fingerprint

RULES = ("optimizer", "schedule", "accumulate", "clip", "compile", "precision", "device")
"""Sections that teachers, controls and students have in common."""


def count_trainings(jobs: Iterable[Distillation]) -> str:
    """Students, controls and teachers that a study trains, in a sentence."""
    students = 0
    controls: set[tuple[str, int]] = set()
    teachers: set[str] = set()
    for job in jobs:
        recipe = job.recipe
        students += len(recipe.seeds)
        if recipe.control:
            alone = recipe.student.model_dump(mode="json", include={"model", "weights"})
            made = _training(job, {**alone, "epochs": recipe.epochs})
            controls |= {(made, seed) for seed in recipe.seeds}
        if job.teacher is not None and not job.teacher.given:
            teachers.add(_training(job, _teacher(recipe)))
    parts = (("student", students), ("control", len(controls)), ("teacher", len(teachers)))
    said = [f"{count} {role}{'s' if count > 1 else ''}" for role, count in parts if count]
    total = students + len(controls) + len(teachers)
    return f"{total} trainings: {', '.join(said)} (what arms share is trained once)"


def _teacher(recipe: Recipe) -> dict[str, Any]:
    found = {} if recipe.teacher is None else recipe.teacher.model_dump(mode="json")
    return {**found, "epochs": found.get("epochs") or recipe.epochs}


def _training(job: Distillation, model: dict[str, Any]) -> str:
    rules = resolved(job.recipe)
    return fingerprint(
        {"model": model, "data": data_identity(job.feeds), **{key: rules[key] for key in RULES}}
    )
