"""How much a study trains: what arms share is counted once."""

from collections.abc import Iterable

from stillhouse.recipes.networks import each_student_its_own
from stillhouse.runs.ancestors import Ancestor, family
from stillhouse.runs.deriving import DerivedNetwork
from stillhouse.runs.distill import Distillation


def count_trainings(jobs: Iterable[Distillation]) -> str:
    """Students, controls and teachers that a study trains, in a sentence."""
    students = 0
    controls: set[str] = set()
    teachers: set[str] = set()
    for job in jobs:
        seeds = job.recipe.seeds
        students += len(seeds)
        if job.recipe.control:
            controls |= {_control(job, seed) for seed in seeds}
        teachers |= {key for ancestor in family(job.teacher) for key in _trainings(job, ancestor)}
    parts = (("student", students), ("control", len(controls)), ("teacher", len(teachers)))
    said = [f"{count} {role}{'s' if count > 1 else ''}" for role, count in parts if count]
    total = students + len(controls) + len(teachers)
    return f"{total} trainings: {', '.join(said)} (what arms share is trained once)"


def _control(job: Distillation, seed: int) -> str:
    """What tells controls apart: also the transfer set that they learn on, and their start."""
    section = job.recipe.transfer
    of = [] if section is None else [section.model_dump(mode="json"), job.recipe.teacher]
    if isinstance(job.student, DerivedNetwork):  # where it starts depends on that training
        of = [*of, job.recipe.teacher]
    own = job.student_input_settings()
    return job.identity("control", job.settings(seed), job.student, of=str(of), **own)


def _trainings(job: Distillation, ancestor: Ancestor) -> set[str]:
    """What tells the trainings of an ancestor apart, one for all students or one for each."""
    if ancestor.given:
        return set()
    students = job.recipe.seeds if each_student_its_own(ancestor.section) else [None]
    found = set()
    for student in students:
        seed = ancestor.seed_for(job.recipe.seeds[0] if student is None else student)
        settings = job.settings(seed, ancestor.section.epochs)
        section = ancestor.section.model_dump(mode="json")
        found.add(job.identity("teacher", settings, ancestor.network, section=section, of=student))
    return found
