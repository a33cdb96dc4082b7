"""Whether a teacher is cached, and why: what stands against it, its size, whether it pays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.cache import (
    Leases,
    Need,
    Storage,
    TeacherCache,
    batch_problem,
    cached_parts,
    check_copies,
    check_directory,
    check_room,
    in_words,
    nodes_before,
    passes_left,
    record,
    replay_problems,
    room_in,
    size_of,
)
from stillhouse.engine.signals import LOGITS
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import opened
from stillhouse.errors import CacheError, RecipeError, nearest
from stillhouse.recipes.schema import CacheSection
from stillhouse.records.environment import torch_version
from stillhouse.records.fingerprint import fingerprint
from stillhouse.records.names import slug
from stillhouse.records.remote import Location, Remote, try_to_write
from stillhouse.records.stage import STAGE
from stillhouse.records.writable import check_writable
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.forecast import Forecast, Times, forecast, time_steps
from stillhouse.runs.training.training import student_directory

TEACHER = "teacher"
DISK_SHARE = 0.5
"""Of the free disk, what a teacher cache may take that nobody asked for."""


@dataclass(frozen=True)
class Plan:
    """How the teacher will serve, and why in one line; what a teacher cache would hold, if known.

    Args:
        cached: or live.
        why: for the user.
        need: signals that are cached, and that are wanted by shape only.
        storage, views, bytes: of the teacher cache.
    """

    cached: bool
    why: str
    need: Need = field(default_factory=lambda: Need({}, {}))
    storage: Mapping[str, Storage] = field(default_factory=dict)
    views: int = 0
    bytes: int = 0

    def live(self, why: str) -> "Plan":
        """The teacher in each step instead."""
        return Plan(False, f"teacher: live in each step ({why})", views=self.views)

    def because(self, why: str) -> "Plan":
        """With the reason."""
        views = "1 view" if self.views == 1 else f"{self.views} views"
        said = f"teacher: cached once, {views}, {in_words(self.bytes)} ({why})"
        return replace(self, why=said)


@dataclass
class Planner:
    """Plans for one teacher of a run; it only reads, and trains nothing but what it throws away.

    Args:
        job: as its students see it.
        teacher: its module.
        seeds: of the students that it teaches.
        trained: whether it has the weights that would be cached.
        stage: of the first of these students, where it is composed already.
        need: what that stage needs of the teacher, where that is known.
    """

    job: Job
    teacher: nn.Module
    seeds: tuple[int, ...]
    trained: bool = True
    stage: Stage | None = None
    need: Need | None = None

    @cached_property
    def _stage(self) -> Stage:
        """A stage to look at; the teacher in it is only read."""
        return self.stage or self._compose(self.seeds[0])

    @cached_property
    def _need(self) -> Need:
        """What the students read of the teacher, all together."""
        needs = [self.need or self._need_of(self._stage, self.seeds[0])]
        if self._stage.notes:
            # What was settled on the way, such as pairs of layers, may differ between students.
            needs += [self._need_of(self._compose(seed), seed) for seed in self.seeds[1:]]
        parts = {part: shape for need in needs for part, shape in need.parts.items()}
        sizing = {part: shape for need in needs for part, shape in need.sizing.items()}
        return Need(parts, {part: sizing[part] for part in sizing if part not in parts})

    def _compose(self, seed: int) -> Stage:
        return self.job.student_stage(self.job.start(seed), self.teacher)

    def _need_of(self, stage: Stage, seed: int) -> Need:
        asked, job = cached_parts(stage, TEACHER), self.job
        train, settings = job.data.train(seed), job.settings(seed)
        with opened(stage, train, settings, job.data.platform) as objective:
            return need_of(asked, objective.wiring.seen)

    def check(self) -> None:
        """Make sure that a demanded teacher cache can be made and has room.

        Raises:
            RecipeError: with all that stands against it.
            CacheError: the directory holds something else, or the disk is short.
        """
        section = self.job.recipe.cache
        if section.use == "always":
            problems = replay_problems(self._stage, TEACHER) + _image_problems(self.job.data)
            shared = None if problems else self._shared_signals()
            if problems or shared:
                raise RecipeError("cache: always", [*problems, *([shared] if shared else [])])
        if section.use != "never" and section.place is not None:
            self._check_directory(section.place)
        if section.use == "always":
            plan = self.plan(timed=False)
            check_room(self._place, self._bytes_left(plan))
            if isinstance(self._place, Remote):
                check_copies(self._place, plan.bytes // plan.views, plan.views)

    def _check_directory(self, directory: Location) -> None:
        if isinstance(directory, Remote):
            check_directory(directory, self.identity(), unknown=self._unknown)
            try_to_write(directory)
            return
        if directory.resolve() in (self.job.out.resolve(), self.job.shared.resolve()):
            said = f"{directory} holds the run's own files; give the teacher cache one of its own"
            raise RecipeError("cache.directory", [said])
        check_writable(directory, "choose another (cache.directory)", error=CacheError)
        check_directory(directory, self.identity(), unknown=self._unknown)

    @property
    def _unknown(self) -> tuple[str, ...]:
        return () if self.trained else ("teacher",)

    def plan(self, *, timed: bool = True) -> Plan:
        """Decide, and say why in one line."""
        recipe, data = self.job.recipe, self.job.data
        section = recipe.cache
        if section.use == "never":
            return Plan(False, "teacher: live in each step (cache: never)")
        planned = Plan(True, "", views=data.views_cached(recipe.epochs))
        if section.use == "auto":
            read, _ = cached_parts(self._stage, TEACHER)  # counts may decide before anything runs
            against = self._against() or self._nothing_to_save(read, planned.views, timed=timed)
            if against:
                return planned.live(against)
        need = self._need
        problems = _storage_problems(section, need)
        if problems:
            raise RecipeError("cache", problems)
        storage = {part: section.storage(part) for part in need.parts}
        size = size_of(need.parts, storage, rows=len(data.splits.train), views=planned.views)
        planned = replace(planned, need=need, storage=storage, bytes=size)
        if section.use == "always":
            return planned.because("cache: always")
        if self._agreed(self._bytes_left(planned) > DISK_SHARE * room_in(self._place)):
            return planned.live("more than half of what the disk has left")
        chosen = self._by_time(planned, timed=timed)
        if chosen.cached and timed:
            shared = self._shared_signals()
            if self._agreed(shared is not None):
                return planned.live(shared or "so says the main process")
        return chosen

    def _against(self) -> str:
        """What makes an unasked teacher cache impossible; empty when nothing does."""
        problems = replay_problems(self._stage, TEACHER)
        if problems:
            return problems[0]
        if self.job.data.section.views == "live":
            return "data.views: live shows a new view in each epoch"
        return "" if self.job.data.repeatable() else "images differ each time they are read"

    def _nothing_to_save(self, parts: Iterable[str], views: int, *, timed: bool) -> str:
        """What counts of passes say against a teacher cache; empty when time decides."""
        passes, left = self._passes, float(views)
        if timed:  # else the teacher may not be the trained one yet
            left = self._agreed(self._passes_left(parts, views))
        if not passes:
            return "no student is left to train"
        if left >= passes:
            train = f"{passes:g} pass{'' if passes == 1 else 'es'} to train"
            return f"{train}, {left:g} to record: nothing to save"
        return ""

    def _by_time(self, planned: Plan, *, timed: bool) -> Plan:
        """By timed steps, where counts do not decide."""
        against = self._nothing_to_save(planned.need.parts, planned.views, timed=timed)
        if against:
            return planned.live(against)
        if not timed:
            return planned.because(
                f"{planned.views:g} passes of the teacher instead of {self._passes}, if that is "
                "shorter"
            )
        if not self._agreed(self._passes_left(planned.need.parts, planned.views)):
            return planned.because("all of it is there")
        found = self._forecast(planned)
        if found.pays:
            said = f"about {_time(found.cached)} instead of {_time(found.live)} live"
            return planned.because(said)
        return planned.live(f"{_time(found.live)} live, {_time(found.cached)} cached")

    def _forecast(self, planned: Plan) -> Forecast:
        seed, data = self.seeds[0], self.job.data
        train = data.train(seed, data.views)
        times = time_steps(
            self._compose(seed), TEACHER, train, self.job.settings(seed), data.platform
        )
        each = planned.bytes // max(len(data.splits.train) * planned.views, 1)
        return forecast(
            Times(*map(self._agreed, (times.step, times.teacher, times.batch))),
            steps=len(train),
            live_passes=self._passes,
            passes_left=self._agreed(self._passes_left(planned.need.parts, planned.views)),
            batch_bytes=each * train.batch_size,
        )

    def _agreed(self, value: float) -> float:
        """What the main process found, so that all decide alike."""
        platform = self.job.data.platform
        if platform.world == 1:
            return value
        here = torch.tensor(float(value) if platform.main else 0.0, device=platform.device)
        return float(platform.sum(here))

    @property
    def _place(self) -> Location:
        """A directory on the disk that the teacher cache is, or will be, on; or its address."""
        return self.job.recipe.cache.place or self.job.shared

    @property
    def _passes(self) -> int:
        """Epochs over all students that are still to be trained."""
        return len(self.students_left()) * self.job.recipe.epochs

    def _passes_left(self, parts: Iterable[str], views: int) -> float:
        section, parts = self.job.recipe.cache, list(parts)
        storage = {part: section.storage(part) for part in parts}
        return passes_left(self.directory(), parts, storage, views)

    def _bytes_left(self, planned: Plan) -> int:
        """Bytes that are still to be written, as far as can be known."""
        if self.trained or self.job.recipe.cache.directory is not None:
            left = self._passes_left(planned.need.parts, planned.views)
            return round(planned.bytes * left / planned.views)
        # It may be of this teacher, which is yet to be trained or found; `record` will know.
        there = any(self.job.shared.glob(self._folder("*")))
        return 0 if there else planned.bytes

    def _shared_signals(self) -> str | None:
        """Why a sample's signals are not its own; None when they are."""
        return batch_problem(
            self._stage.role(TEACHER),
            list(self._need.parts),
            self.job.data.train(self.job.recipe.seeds[0]),
            self.job.data.platform,
            before=nodes_before(self._stage, TEACHER),
        )

    def students_left(self) -> list[int]:
        """The seeds whose student is not finished."""
        return [
            seed for seed in self.seeds if not (student_directory(self.job, seed) / STAGE).exists()
        ]

    def cache(
        self, plan: Plan, leases: Leases | None = None, share: tuple[int, int] | None = None
    ) -> TeacherCache:
        """Write what is missing of the teacher cache, and open it; see `record` for workers."""
        job = self.job
        return record(
            self._stage.role(TEACHER),
            list(plan.need.parts),
            job.data.train(job.recipe.seeds[0]),
            self.directory(),
            self.identity(),
            job.data.platform,
            before=nodes_before(self._stage, TEACHER),
            storage=plan.storage,
            views=plan.views,
            shapes=plan.need.sizing,
            observer=job.watcher,
            say=job.watcher.say,
            leases=leases,
            share=share,
        )

    def identity(self) -> dict[str, Any]:
        """What decides every value of a teacher cache, but not how many views there are."""
        job, data = self.job, self.job.data
        return {
            "teacher": job.teacher_identity(self.teacher),
            "model": job.recipe.teacher.model if job.recipe.teacher else "",
            "data": data.splits.fingerprint,
            "view_seed": data.section.view_seed,
            **data.images_identity(),
            **job.teacher_input_settings(),
            "batch": data.batch // data.platform.world,
            "precision": data.platform.precision,
            "device": data.platform.device.type,
            "torch": torch_version(),
        }

    def directory(self) -> Location:
        """Where the teacher cache is, or will be."""
        given = self.job.recipe.cache.place
        if given is not None:
            return given
        return self.job.shared / self._folder(fingerprint(self.identity()))

    def _folder(self, of: str) -> str:
        model = self.job.recipe.teacher.model if self.job.recipe.teacher else ""
        return f"teacher-cache-{slug(model)}-{of}"


def need_of(asked: tuple[Sequence[str], Sequence[str]], seen: Mapping[str, Tensor]) -> Need:
    """What a stage needs of its teacher, with the shapes that its dry run saw.

    Args:
        asked: what `cached_parts` says of the stage before it was opened, and so sized.
        seen: the signals of the dry run.
    """
    read, sizing = asked
    names = [*read, *sizing]
    shapes = {
        part: tuple(seen[f"{TEACHER}.{part}"].shape[1:])
        for part in names
        if f"{TEACHER}.{part}" in seen
    }
    return Need(
        {part: shapes[part] for part in read}, {p: shapes[p] for p in sizing if p in shapes}
    )


def _image_problems(data: JobData) -> list[str]:
    """Why what a student sees cannot be cached; empty when it can."""
    found = []
    if data.section.views == "live":
        found.append(
            "unbounded views cannot be cached; set data.views to a number, or to auto for as "
            "many as there are epochs"
        )
    if not data.repeatable():
        found.append(
            "an image is not the same when it is read twice under one seed: draw from torch, "
            "numpy.random or random, which are seeded for each view"
        )
    return found


def _storage_problems(section: CacheSection, need: Need) -> list[str]:
    """Why the signals that are read cannot be stored as the section asks; empty when they can."""
    named = section.dtype if isinstance(section.dtype, dict) else {}
    found = [
        f"dtype: the method does not read '{part}' of the teacher; {nearest(part, need.parts)}"
        for part in named
        if part not in need.parts
    ]
    if section.top is not None and LOGITS not in need.parts:
        read = ", ".join(need.parts)
        found.append(f"top is for logits, and the method reads only {read}; leave top out")
    wrong = [section.storage(part).problem(shape) for part, shape in need.parts.items()]
    return found + [problem for problem in wrong if problem]


def _time(seconds: float) -> str:
    """Seconds for people.

    >>> _time(42.3), _time(750)
    ('42 s', '12.5 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
