"""The teacher of a run at work: cached once if that is the plan, or live in each step."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from stillhouse.cache import Replay, TeacherCache, nodes_before, record
from stillhouse.engine.stage import Stage
from stillhouse.records.run import SERVED, Serving
from stillhouse.runs.teacher_plan import TEACHER, Plan, Planner

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation


class Teaching:
    """Gives each student's stage its teacher: the live one, or the teacher cache of it."""

    def __init__(
        self, job: "Distillation", teacher: nn.Module, seeds: Sequence[int] | None = None
    ) -> None:
        self.job = job
        self.seeds = tuple(job.recipe.seeds if seeds is None else seeds)
        self.planner = Planner(job, teacher, seeds=self.seeds)
        self._cache: TeacherCache | None = None

    @property
    def views(self) -> int | None:
        """How many views the students are shown: those of the teacher cache, if there is one."""
        return self._cache.views if self._cache else self.job.feeds.views

    def begin(self) -> Serving:
        """Plan, say so, and record what is missing."""
        plan = self.planner.plan()
        if not self.planner.students_left():
            return self._before(plan)
        self.job.watcher.say(plan.why)
        self._cache = self._record(plan) if plan.cached else None
        served = Serving(
            cached=plan.cached,
            why=plan.why,
            views=plan.views if plan.cached else 0,
            bytes=plan.bytes if plan.cached else 0,
            seconds=self._cache.seconds if self._cache else 0.0,
            students=len(self.seeds),
        )
        if self.job.feeds.platform.main:
            served.write(self._path)
        return served

    @property
    def _path(self) -> Path:
        if self.seeds == self.job.recipe.seeds:
            return self.job.out / SERVED
        return self.job.out / SERVED.replace(".", f"-{'-'.join(map(str, self.seeds))}.")

    def _before(self, plan: Plan) -> Serving:
        """What an earlier session of this run wrote; all students are there."""
        path = self._path
        if path.exists():
            return Serving.read(path)
        return Serving(cached=False, why=plan.why, views=0, bytes=0, seconds=0.0, students=0)

    def _record(self, plan: Plan) -> TeacherCache:
        job, stage = self.job, self.planner.stage()
        return record(
            stage.role(TEACHER),
            list(plan.parts),
            job.feeds.train(job.recipe.seeds[0]),
            self.planner.directory(),
            self.planner.identity(),
            job.feeds.platform,
            before=nodes_before(stage, TEACHER),
            storage=plan.storage,
            views=plan.views,
            shapes=plan.sizing,
            observer=job.watcher,
            say=job.watcher.say,
        )

    def teach(self, stage: Stage) -> Stage:
        """The stage with the teacher as it serves in this run."""
        if self._cache is None:
            return stage
        return stage.replace(Replay(TEACHER, self._cache))


class Lessons:
    """The teachers of a run at work: one for all students, or one for each."""

    def __init__(self, job: "Distillation") -> None:
        self.job = job
        self._known: dict[nn.Module, tuple[Teaching, Serving]] = {}

    def by(self, teacher: nn.Module | None, seed: int) -> Teaching | None:
        """How this teacher serves the student of this seed; None where no teacher is read."""
        if teacher is None or not self.job.method.needs_teacher:
            return None
        if teacher not in self._known:
            own = self.job.recipe.each_student_its_data
            teaching = Teaching(self.job, teacher, (seed,) if own else None)
            self._known[teacher] = teaching, teaching.begin()
        return self._known[teacher][0]

    def served(self) -> list[Serving]:
        """How each of them served."""
        return [served for _, served in self._known.values()]


def storage_identity(job: "Distillation") -> dict[str, Any]:
    """What of the storage changes a student; empty for float32 and for a live teacher."""
    section = job.recipe.cache
    plain = section.top is None and section.dtype == "float32"
    if plain or section.use == "never":
        return {}
    return {"cache": section.model_dump(include={"dtype", "top"})}
