"""How much a study trains: what arms share is counted once."""

from collections.abc import Iterable

from stillhouse.runs.distill import TEACHER_SEED, Distillation


def count_trainings(jobs: Iterable[Distillation]) -> str:
    """Students, controls and teachers that a study trains, in a sentence."""
    students = 0
    controls: set[str] = set()
    teachers: set[str] = set()
    for job in jobs:
        seeds = job.recipe.seeds
        students += len(seeds)
        if job.recipe.control:
            controls |= {job.identity("control", job.settings(s), job.student) for s in seeds}
        if job.teacher is not None and not job.teacher.given:
            settings = job.settings(TEACHER_SEED, job.teacher.section.epochs)
            teachers.add(job.identity("teacher", settings, job.teacher, **job.input_settings()))
    parts = (("student", students), ("control", len(controls)), ("teacher", len(teachers)))
    said = [f"{count} {role}{'s' if count > 1 else ''}" for role, count in parts if count]
    total = students + len(controls) + len(teachers)
    return f"{total} trainings: {', '.join(said)} (what arms share is trained once)"
