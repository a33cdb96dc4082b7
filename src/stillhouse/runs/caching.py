"""The teacher cache of a recipe and nothing after it, by one worker or by many that share it."""

import os
from collections.abc import MutableMapping
from dataclasses import dataclass

from stillhouse.cache import Leases, TeacherCache
from stillhouse.engine.processes import RANKS, SIZES, world_asked
from stillhouse.errors import RecipeError
from stillhouse.runs.group import as_taught
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.serving_plan import Planner
from stillhouse.runs.training.teachers import Teachers

OF_PROCESSES = ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE", *SIZES, *RANKS)
ARRAYS = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT"),
    ("SLURM_PROCID", "", "SLURM_NTASKS"),
)
"""Variables of a Slurm array or step: which this is, which the first one is, how many there are."""


@dataclass(frozen=True)
class Worker:
    """One of several that record a teacher cache together.

    It begins with its own share and goes on with what others have left, so K and N decide where
    the workers meet, and nothing else: any of them may be missing, started again or started twice.

    Args:
        number: from 1.
        of: how many there are.
    """

    number: int = 1
    of: int = 1

    @property
    def share(self) -> tuple[int, int]:
        """As `stillhouse.cache.record` counts."""
        return self.number - 1, self.of


def worker_from(text: str) -> Worker:
    """A worker as it is written on the command line.

    Raises:
        RecipeError: it is no ``K/N`` with 1 <= K <= N.

    >>> worker_from("2/4")
    Worker(number=2, of=4)
    """
    number, _, of = text.partition("/")
    if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
        return Worker(int(number), int(of))
    said = f"--worker {text}: write which of how many, from 1, such as 2/4"
    raise RecipeError("cache", [said])


def worker_of(environment: MutableMapping[str, str] = os.environ) -> Worker:
    """Which worker a launcher has started: torchrun, MPI, a Slurm array or a Slurm step.

    Each worker is alone: what torchrun says of the others is taken out of the environment, and of
    several accelerators of a machine each sees its own.

    >>> worker_of({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5",
    ...            "SLURM_ARRAY_TASK_COUNT": "4"})
    Worker(number=3, of=4)
    >>> said = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "4,6",
    ...         "MASTER_ADDR": "a", "MASTER_PORT": "29500"}
    >>> worker_of(said), said
    (Worker(number=2, of=2), {'CUDA_VISIBLE_DEVICES': '6'})
    """
    world = world_asked(environment)
    if world > 1:
        rank = next(int(environment[name]) for name in RANKS if environment.get(name))
        local = environment.get("LOCAL_RANK", "")
        if local.isdecimal():
            seen = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
            own = seen[int(local)] if int(local) < len(seen) and seen[0] else local
            environment["CUDA_VISIBLE_DEVICES"] = own
        for name in OF_PROCESSES:
            environment.pop(name, None)
        return Worker(rank + 1, world)
    for which, first, count in ARRAYS:
        numbers = [environment.get(name, "0") for name in (which, first, count)]
        if all(map(str.isdecimal, numbers)):
            at, begin, of = map(int, numbers)
            if of > 1 and begin <= at < begin + of:  # of an array with steps any place will do
                return Worker(at - begin + 1, of)
    return Worker()


def check_records(job: Job) -> None:
    """Raises RecipeError where there is no teacher to record."""
    if job.teacher is None or not job.method.needs_teacher:
        said = f"'{job.method.name}' has no teacher to record; give a method with one"
        raise RecipeError("cache", [said])


def cache_teachers(job: Job, worker: Worker) -> list[TeacherCache]:
    """Train what teachers are not there yet, and record their signals; trains no student.

    Args:
        job: prepared, with ``cache: always``.
        worker: which of how many.

    Raises:
        RecipeError: the method reads no teacher.
        CacheError: as of `stillhouse.cache.record`.
    """
    check_records(job)
    teachers, found = Teachers(job), []
    for seeds in job.groups:
        teacher = teachers.trained(seeds[0])
        if teacher is None:
            raise RecipeError("cache", ["there is no teacher to record"])
        taught, _ = as_taught(job, teacher.module, seeds)
        planner = Planner(taught, teacher.module, seeds)
        plan = planner.plan()
        job.watcher.say(plan.why)
        found.append(planner.cache(plan, Leases(planner.directory()), worker.share))
    return found
