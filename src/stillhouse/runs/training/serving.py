"""Where the teacher's signals come from: live in each step, or a cache that is written once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from stillhouse.cache import (
    Replay,
    TeacherCache,
)
from stillhouse.records.run import SERVED, Serving
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.serving_plan import TEACHER, Planner
from stillhouse.runs.training.training import Training


@dataclass(frozen=True)
class Source:
    """Where the students of a teacher get its signals from: its cache, or None for the live one."""

    cache: TeacherCache | None
    record: Serving

    def teach(self, training: Training) -> Training:
        """The training of a student with the teacher as it serves: the same bits either way."""
        if self.cache is None:
            return training
        node = Replay(TEACHER, self.cache)
        cached = training.changed(lambda stage: stage.replace(node))
        return replace(cached, views=self.cache.views)


def serve(job: Job, teacher: nn.Module, seeds: tuple[int, ...]) -> Source:
    """Plan how a trained teacher serves the students of these seeds, say so, cache what is missing.

    Args:
        job: as these students see it.
        teacher: its module.
        seeds: of the students that it teaches.
    """
    planner, path = Planner(job, teacher, seeds), _record_path(job, seeds)
    if not planner.students_left() and path.exists():
        return Source(None, Serving.read(path))
    plan = planner.plan()
    if not planner.students_left():
        return Source(None, _live(plan.why))
    job.watcher.say(plan.why)
    cache, found = None, _live(plan.why, students=len(seeds))
    if plan.cached:
        cache = planner.cache(plan)
        known = {"views": plan.views, "bytes": plan.bytes, "seconds": cache.seconds}
        found = found.model_copy(update={"cached": True, **known})
    if job.data.platform.main:
        found.write(path)
    return Source(cache, found)


def all_together(records: Sequence[Serving]) -> Serving | None:
    """How the teachers of a run served; None where no teacher was read."""
    if not records:
        return None
    totals = {
        "cached": any(each.cached for each in records),
        "bytes": sum(each.bytes for each in records),
        "seconds": sum(each.seconds for each in records),
        "students": sum(each.students for each in records),
    }
    return records[0].model_copy(update=totals)


def _live(why: str, students: int = 0) -> Serving:
    return Serving(cached=False, why=why, views=0, bytes=0, seconds=0.0, students=students)


def _record_path(job: Job, seeds: tuple[int, ...]) -> Path:
    if seeds == tuple(job.recipe.seeds):
        return job.out / SERVED
    return job.out / SERVED.replace(".", f"-{'-'.join(map(str, seeds))}.")
