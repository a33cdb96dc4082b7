"""Whether the teacher of a run is cached: what stands against it, its size, if it pays."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from stillhouse.cache import (
    Need,
    Storage,
    batch_problem,
    check_directory,
    check_room,
    in_words,
    needed,
    nodes_before,
    passes_left,
    replay_problems,
    room_in,
    size_of,
)
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import opened
from stillhouse.errors import RecipeError
from stillhouse.records.fingerprint import fingerprint
from stillhouse.records.names import slug
from stillhouse.records.run import STAGE
from stillhouse.runs.forecast import Forecast, Times, forecast, time_steps
from stillhouse.runs.objections import image_problems, storage_problems

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation

TEACHER = "teacher"
DISK_SHARE = 0.5
"""Of the free disk, what a teacher cache may take that nobody asked for."""


@dataclass(frozen=True)
class Plan:
    """How the teacher will serve, and why in one line; what a teacher cache would hold, if known.

    Args:
        cached: or live.
        why: for the user.
        parts, sizing: signals that are cached, and that are wanted by shape only.
        storage, views, bytes: of the teacher cache.
    """

    cached: bool
    why: str
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    sizing: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    storage: Mapping[str, Storage] = field(default_factory=dict)
    views: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Planner:
    """Plans for one teacher of a run; it only reads, and trains nothing but what it throws away.

    Args:
        job: the run.
        teacher: its module.
        trained: whether it has the weights that would be cached.
        seeds: of the students that it teaches; None: all of the run.
    """

    job: "Distillation"
    teacher: nn.Module
    trained: bool = True
    seeds: tuple[int, ...] | None = None

    def problems(self) -> list[str]:
        """Why a teacher cache that the recipe demands cannot be made; empty when it can."""
        section = self.job.recipe.cache
        if section.use != "always":
            return []
        found = replay_problems(self.stage(), TEACHER) + image_problems(self.job.feeds)
        shared = None if found else self._shared_signals()
        return [*found, shared] if shared else found

    def check(self) -> None:
        """Make sure that a demanded teacher cache can be made and has room.

        Raises:
            RecipeError: with all that stands against it.
            CacheError: the directory holds something else, or the disk is short.
        """
        problems = self.problems()
        if problems:
            raise RecipeError("cache: always", problems)
        section = self.job.recipe.cache
        if section.use != "never" and section.directory is not None:
            self._check_directory(section.directory)
        if section.use == "always":
            check_room(self._place, self._bytes_left(self.plan(timed=False)))

    def _check_directory(self, directory: Path) -> None:
        if directory.resolve() in (self.job.out.resolve(), self.job.shared.resolve()):
            said = f"{directory} holds the run's own files; give the teacher cache one of its own"
            raise RecipeError("cache.directory", [said])
        check_directory(directory, self.identity(), unknown=() if self.trained else ("teacher",))

    def plan(self, *, timed: bool = True) -> Plan:
        """Decide, and say why in one line."""
        recipe, feeds = self.job.recipe, self.job.feeds
        if recipe.cache.use == "never":
            return Plan(False, "teacher: live in each step (cache: never)")
        if recipe.cache.use == "auto":
            against = self._against()
            if against:
                return Plan(False, f"teacher: live in each step ({against})")
        views = feeds.views_cached(recipe.epochs)
        need = self._need()
        storage = {part: recipe.cache.storage(part) for part in need.parts}
        wrong = storage_problems(recipe.cache, need)
        if wrong:
            raise RecipeError("cache", wrong)
        size = size_of(need.parts, storage, rows=len(feeds.splits.train), views=views)
        planned = Plan(True, "", need.parts, need.sizing, storage, views, size)
        if recipe.cache.use == "always":
            return self._because(planned, "cache: always")
        if self._agreed(self._bytes_left(planned) > DISK_SHARE * room_in(self._place)):
            return self._live(planned, "more than half of what the disk has left")
        chosen = self._by_cost(planned, timed=timed)
        if chosen.cached and timed:
            shared = self._shared_signals()
            if self._agreed(shared is not None):
                return self._live(planned, shared or "so says the main process")
        return chosen

    def _against(self) -> str:
        """What makes an unasked teacher cache impossible; empty when nothing does."""
        problems = replay_problems(self.stage(), TEACHER)
        if problems:
            return problems[0]
        if self.job.recipe.data.views == "live":
            return "data.views: live shows a new view in each epoch"
        return "" if self.job.feeds.repeatable() else "images differ each time they are read"

    def _by_cost(self, planned: Plan, *, timed: bool) -> Plan:
        """Compare passes first; time steps only where they decide."""
        recipe = self.job.recipe
        students = self.students_left()
        passes = len(students) * recipe.epochs
        left = float(planned.views)
        if timed:  # else the teacher may not be the trained one yet
            left = self._agreed(self._passes_left(planned))
        if not passes:
            return self._live(planned, "no student is left to train")
        if left >= passes:
            return self._live(
                planned, f"{passes:g} passes to train, {left:g} to record: nothing to save"
            )
        if not timed:
            return self._because(
                planned, f"{left:g} passes of the teacher instead of {passes}, if time says so too"
            )
        found = self._forecast(planned, passes, left)
        said = f"about {_time(found.cached)} instead of {_time(found.live)} live"
        if found.pays:
            return self._because(planned, said)
        return self._live(planned, f"{_time(found.live)} live, {_time(found.cached)} cached")

    def _forecast(self, planned: Plan, passes: int, left: float) -> Forecast:
        job, seed = self.job, self.job.recipe.seeds[0]
        stage, train = self.stage(), job.feeds.train(seed, job.feeds.views)
        nodes = [*nodes_before(stage, TEACHER), stage.node(TEACHER)]
        times = time_steps(stage, nodes, train, job.settings(seed), job.feeds.platform)
        rows = len(job.feeds.splits.train)
        each = planned.bytes // max(rows * planned.views, 1)
        return forecast(
            Times(*map(self._agreed, (times.step, times.teacher, times.batch))),
            steps=len(train),
            live_passes=passes,
            passes_left=left,
            batch_bytes=each * train.batch_size,
        )

    def _agreed(self, value: float) -> float:
        """What the main process found, so that all decide alike."""
        platform = self.job.feeds.platform
        if platform.world == 1:
            return value
        here = torch.tensor(float(value) if platform.main else 0.0, device=platform.device)
        return float(platform.sum(here))

    @property
    def _place(self) -> Path:
        """A directory on the disk that the teacher cache is, or will be, on."""
        return self.job.recipe.cache.directory or self.job.shared

    def _passes_left(self, planned: Plan) -> float:
        return passes_left(self.directory(), list(planned.parts), planned.storage, planned.views)

    def _bytes_left(self, planned: Plan) -> int:
        """Bytes that are still to be written, as far as can be known."""
        if self.trained or self.job.recipe.cache.directory is not None:
            return round(planned.bytes * self._passes_left(planned) / planned.views)
        # It may be of this teacher, which is yet to be trained or found; `record` will know.
        there = any(self.job.shared.glob(self._folder("*")))
        return 0 if there else planned.bytes

    def _shared_signals(self) -> str | None:
        """Why a sample's signals are not its own; None when they are."""
        stage, feeds = self.stage(), self.job.feeds
        return batch_problem(
            stage.role(TEACHER),
            list(self._need().parts),
            feeds.train(self.job.recipe.seeds[0]),
            feeds.platform,
            before=nodes_before(stage, TEACHER),
        )

    def _because(self, planned: Plan, why: str) -> Plan:
        views = "1 view" if planned.views == 1 else f"{planned.views} views"
        said = f"teacher: cached once, {views}, {in_words(planned.bytes)} ({why})"
        return replace(planned, why=said)

    def _live(self, planned: Plan, why: str) -> Plan:
        return Plan(False, f"teacher: live in each step ({why})", views=planned.views)

    def stage(self) -> Stage:
        """A stage to look at, of networks that are thrown away; the teacher is only read."""
        return self.job.student_stage(self.job.recipe.seeds[0], self.teacher)

    def _need(self) -> Need:
        """What the students read of the teacher, all together."""
        seeds = self.seeds or self.job.recipe.seeds
        # What was settled on the way, such as pairs of layers, may differ from student to student.
        needs = [self._need_of(seed) for seed in (seeds if self.stage().notes else seeds[:1])]
        parts = {part: shape for need in needs for part, shape in need.parts.items()}
        sizing = {part: shape for need in needs for part, shape in need.sizing.items()}
        return Need(parts, {part: sizing[part] for part in sizing if part not in parts})

    def _need_of(self, seed: int) -> Need:
        train = self.job.feeds.train(seed)
        stage = self.job.student_stage(seed, self.teacher)
        with opened(stage, train, self.job.settings(seed), self.job.feeds.platform) as t:
            return needed(self.job.student_stage(seed, self.teacher), TEACHER, t.wiring.seen)

    def students_left(self) -> list[int]:
        """The seeds whose student is not finished."""
        return [
            seed for seed in self.seeds or self.job.recipe.seeds
            if not (self.job.student_directory(seed) / STAGE).exists()
        ]  # fmt: skip

    def identity(self) -> dict[str, Any]:
        """What decides every value of a teacher cache, but not how many views there are."""
        job, feeds = self.job, self.job.feeds
        return {
            "teacher": job.teacher_identity(self.teacher),
            "model": job.recipe.teacher.model if job.recipe.teacher else "",
            "data": feeds.splits.fingerprint,
            "view_seed": feeds.section.view_seed,
            **feeds.images_identity(),
            **job.input_settings(),
            "batch": feeds.batch // feeds.platform.world,
            "precision": feeds.platform.precision,
            "device": feeds.platform.device.type,
        }

    def directory(self) -> Path:
        """Where the teacher cache is, or will be."""
        given = self.job.recipe.cache.directory
        if given is not None:
            return given
        return self.job.shared / self._folder(fingerprint(self.identity()))

    def _folder(self, of: str) -> str:
        model = self.job.recipe.teacher.model if self.job.recipe.teacher else ""
        return f"teacher-cache-{slug(model)}-{of}"


def _time(seconds: float) -> str:
    """Seconds for people.

    >>> _time(42.3), _time(750)
    ('42 s', '12.5 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
