"""What is trained in a run: the control and the student of a seed, each with its fingerprint."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.recipes.networks import each_student_its_own
from stillhouse.records.names import slug
from stillhouse.runs.job.derived import DerivedNetwork
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.networks import Network
from stillhouse.runs.job.teacher import Teacher


@dataclass(frozen=True)
class Training:
    """One training that is asked for, whether it was done before or not.

    Args:
        job: on whose data.
        role: what tables call the network that learns.
        settings: budget, rules and seed.
        directory: where its files are.
        identity: the fingerprint of all that decides its weights.
        compose: gives its stage, on the networks that the fingerprint was taken of.
        views: how many views of a sample it sees; None: a new one each epoch.
    """

    job: Job
    role: str
    settings: Settings
    directory: Path
    identity: str
    compose: Callable[[], Stage]
    views: int | None = None

    @cached_property
    def stage(self) -> Stage:
        """Its stage, composed when it is first asked for."""
        return self.compose()

    def changed(self, change: Callable[[Stage], Stage]) -> "Training":
        """The same training with a change of its stage that leaves its result as it is."""
        return replace(self, compose=lambda: change(self.stage))


def control_training(job: Job, seed: int) -> Training:
    """The student alone, same budget, seed and start; shared by all methods."""
    student, settings = job.student.make(seed), job.settings(seed)
    own = {**job.student_input_settings(), **job.average_settings}
    identity = job.identity("control", settings, job.student, student, **own)
    directory = shared_directory(job, "control", job.student, seed, identity)
    return Training(
        job, "control", settings, directory, identity, lambda: job.control_stage(student)
    )


def student_training(job: Job, seed: int, teacher: nn.Module | None) -> Training:
    """The student by the method, its teacher live."""
    start, settings, recipe = job.start(seed), job.settings(seed), job.recipe
    more = {
        "method": recipe.method.model_dump(),
        **job.method_code,
        "teacher": None if teacher is None else job.teacher_identity(teacher),
        "views": job.data.views or "a new one each epoch",
        **({} if recipe.student.head == "own" else {"head": recipe.student.head}),
        **job.teacher_input_settings(),
        **job.peers.identity(start.peers),
        **job.student_input_settings(),
        **job.average_settings,
        **_storage_identity(job),
        **({"balance": recipe.balance.model_dump()} if recipe.balance else {}),
    }
    return Training(
        job,
        "student",
        settings,
        student_directory(job, seed),
        job.identity("student", settings, job.student, start.student, **more),
        lambda: job.balanced_stage(start, teacher),
        job.data.views,
    )


def _storage_identity(job: Job) -> dict[str, Any]:
    """What of a teacher cache changes a student; empty for float32 and for a live teacher."""
    section = job.recipe.cache
    exact = section.top is None and section.dtype == "float32"
    if exact or section.use == "never":
        return {}
    return {"cache": section.model_dump(include={"dtype", "top"})}


def student_directory(job: Job, seed: int) -> Path:
    """Where the student of a seed is trained."""
    return job.out / "trainings" / f"seed{seed}"


def shared_directory(job: Job, role: str, network: Network, seed: int, identity: str) -> Path:
    """Where a network is trained that other runs may use, too: under its fingerprint."""
    names = f"{slug(role)}-{slug(network.section.model)}"
    return job.shared / f"{names}-seed{seed}-{identity}"


def control_key(job: Job, seed: int) -> str:
    """What tells controls apart before anything is trained.

    Also the transfer set that they learn on, and their start.
    """
    section = job.recipe.transfer
    of = [] if section is None else [section.model_dump(mode="json"), job.recipe.teacher]
    if isinstance(job.student, DerivedNetwork):  # where it starts depends on that training
        of = [*of, job.recipe.teacher]
    own = job.student_input_settings()
    return job.identity("control", job.settings(seed), job.student, of=str(of), **own)


def teacher_keys(job: Job, teacher: Teacher) -> set[str]:
    """What tells the trainings of a teacher apart, one for all students or one for each."""
    if teacher.given or teacher.members:
        return set()
    students = job.recipe.seeds if each_student_its_own(teacher.section) else [None]
    found = set()
    for student in students:
        seed = teacher.seed_for(job.recipe.seeds[0] if student is None else student)
        settings = job.settings(seed, teacher.section.epochs)
        section = teacher.section.model_dump(mode="json")
        found.add(job.identity("teacher", settings, teacher.network, section=section, of=student))
    return found
