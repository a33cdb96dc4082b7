"""How long a run will take: a few steps of each of its trainings are timed and thrown away."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from stillhouse.data.batches import Batches
from stillhouse.engine.evaluate import evaluate
from stillhouse.engine.objective import Objective
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training
from stillhouse.recipes.tuning import candidates
from stillhouse.records.stage import STAGE
from stillhouse.runs.estimate import Estimate, Part
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.teacher import Teacher
from stillhouse.runs.training.forecast import (
    TIMED,
    WARM,
    Times,
    forecast,
    median_later,
    seconds_of,
    time_steps,
)
from stillhouse.runs.training.serving_plan import TEACHER, Planner
from stillhouse.runs.training.teachers import Teachers, teacher_training
from stillhouse.runs.training.training import (
    control_key,
    control_training,
    student_directory,
    teacher_keys,
)
from stillhouse.runs.training.transfer import stand_in

SCORED = 2
"""Batches of validation rows that are scored for it."""


@dataclass(frozen=True)
class Rate:
    """Seconds of one step, and of scoring the validation rows."""

    step: float
    scoring: float


@dataclass(frozen=True)
class Clock:
    """What is timed, and how: `rate_of` a stage, `time_steps` beside a live teacher."""

    rate: Callable[[Stage, Job, Batches, Settings], Rate]
    times: Callable[..., Times]


def rate_of(stage: Stage, job: Job, train: Batches, settings: Settings) -> Rate:
    """Time some steps of a stage that is thrown away afterwards, and the scoring of some rows."""
    platform, rows = job.data.platform, job.data.validation
    with training(stage, train, settings, platform) as trainer:
        count = min(WARM + TIMED, trainer.per_epoch)
        step = median_later(seconds_of(partial(next, trainer.steps(0)), count, platform))
        scoring = 0.0 if rows is None else _scoring(trainer.objective, rows, platform)
    return Rate(step, scoring)


def _scoring(objective: Objective, rows: Batches, platform: Platform) -> float:
    """Seconds of scoring all validation rows, from some of them."""
    some = min(SCORED * rows.batch_size, len(rows.table))
    few = replace(rows, table=rows.table.take(torch.arange(some)), pairs=None)
    spent = seconds_of(lambda: evaluate(objective, few, platform), 2, platform)
    return spent[-1] * len(rows.table) / some


STEPS = Clock(rate_of, time_steps)
"""A few steps on this machine."""


def estimate(job: Job, *, clock: Clock = STEPS) -> Estimate:
    """What is left of a job, timed on networks that are thrown away.

    What was trained before, by this run or by others beside it, is not counted. A teacher that may
    be cached is counted as the run would decide by these times.

    Args:
        job: prepared.
        clock: times its stages.
    """
    recipe, without = job.recipe, list[str]()
    if recipe.transfer is not None:
        without.append("making the transfer set")
    if job.probe is not None and job.probe.student is not None:
        without.append("training on the labels of the probe")
    if recipe.patience is not None:
        without.append("that patience may end a training early")
    parts = tuple(_parts(job, clock))
    student = max((part.weights for part in parts if part.role == "student"), default=0)
    return Estimate(parts, student, recipe.epochs, tuple(without))


def _parts(job: Job, clock: Clock) -> Iterator[Part]:
    found: list[Part] = []
    seed = job.recipe.seeds[0]

    def teacher_part(stage: Stage, own_seed: int, teacher: Teacher) -> None:
        if teacher.given:
            return
        module = stage.role("student").module
        planned = teacher_training(job, teacher, own_seed, stage, module, teacher.input_settings())
        if (planned.directory / STAGE).is_file():
            return
        data, settings = planned.job.data, replace(planned.settings, compile=False)
        train = data.train(own_seed)
        rate = clock.rate(stage, planned.job, train, settings)
        for key in sorted(teacher_keys(job, teacher)):
            found.append(
                Part(
                    "teacher",
                    key,
                    epochs=settings.last_epoch,
                    steps=settings.steps_per_epoch(train),
                    step=rate.step,
                    scoring=rate.scoring,
                    weights=_bytes(module),
                    own=teacher.section.epochs is not None or teacher.section.until is not None,
                )
            )

    untrained = Teachers(job, dry_run=teacher_part).trained(seed)
    yield from found
    module = None if untrained is None else untrained.module
    learns = stand_in(replace(job, student=job.student.out_of(module)))
    if job.recipe.control and job.task.labelled:
        yield from _controls(learns, clock)
    yield from _students(learns, module, clock)


def _controls(job: Job, clock: Clock) -> Iterator[Part]:
    seeds = [
        seed
        for seed in job.recipe.seeds
        if not (control_training(job, seed).directory / STAGE).is_file()
    ]
    if not seeds:
        return
    planned = control_training(job, seeds[0])
    train, settings = job.data.train(seeds[0]), replace(planned.settings, compile=False)
    rate = clock.rate(planned.stage, job, train, settings)
    for seed in seeds:
        yield Part(
            "control",
            control_key(job, seed),
            epochs=settings.epochs,
            steps=_steps(job, settings, train),
            step=rate.step,
            scoring=rate.scoring,
            weights=_bytes(planned.stage.role(planned.stage.keeps).module),
        )


def _students(job: Job, teacher: nn.Module | None, clock: Clock) -> Iterator[Part]:
    recipe, data = job.recipe, job.data
    left = [s for s in recipe.seeds if not (student_directory(job, s) / STAGE).is_file()]
    if not left:
        return
    seed, settings = left[0], job.settings(left[0], compile=False)
    start, train = job.start(seed), data.train(seed, data.views)
    stage = job.student_stage(start, teacher)
    rate, steps = clock.rate(stage, job, train, settings), _steps(job, settings, train)
    tried = 0 if recipe.tune is None else len(candidates(recipe.method, recipe.tune))
    passes, cache = (len(left) + tried) * recipe.epochs, None
    if teacher is not None and job.method.needs_teacher:
        cache = _cached(job, teacher, passes, settings, train, clock)
    step = rate.step if cache is None else cache.step
    part = Part(
        "student",
        "",
        epochs=recipe.epochs,
        steps=steps,
        step=step,
        scoring=rate.scoring,
        weights=_bytes(start.student),
    )
    if cache is not None:
        yield replace(cache.part, key=f"cache {job.identity('cache', settings, job.student)}")
    for at in range(tried):
        yield replace(part, role="candidate", key=f"{job.out} candidate {at}")
    for each in left:
        yield replace(part, key=f"{job.out} seed {each}")


@dataclass(frozen=True)
class _Cached:
    """A student's step beside a cached teacher, and the recording of that teacher."""

    step: float
    part: Part


def _cached(
    job: Job, teacher: nn.Module, passes: int, settings: Settings, train: Batches, clock: Clock
) -> _Cached | None:
    """With the teacher cached, where the run would do so; None where it is live in each step."""
    planner = Planner(job, teacher, job.recipe.seeds, trained=False)
    plan = planner.plan(timed=False)
    if not plan.cached or not plan.bytes:
        return None
    platform, seed = job.data.platform, job.recipe.seeds[0]
    stage = job.student_stage(job.start(seed), teacher)
    times = clock.times(stage, TEACHER, train, settings, platform)
    each = plan.bytes // max(len(job.data.splits.train) * plan.views, 1)
    made = forecast(
        times,
        steps=len(train),
        live_passes=passes,
        passes_left=plan.views,
        batch_bytes=each * train.batch_size,
    )
    if job.recipe.cache.use == "auto" and not made.pays:
        return None
    recording = times.batch + times.teacher
    step = (made.cached - plan.views * len(train) * recording) / (passes * len(train))
    most = plan.views if job.data.views is not None or not job.data.varies else None
    part = Part(
        "teacher cache",
        "",
        epochs=plan.views,
        steps=len(train),
        step=recording,
        size=plan.bytes,
        most=most,
    )
    return _Cached(max(step, 0.0) * settings.accumulate, part)


def _steps(job: Job, settings: Settings, train: Batches) -> int:
    """Steps of an epoch; of a transfer set, whose stand-in is smaller, as many as it will have."""
    section = job.recipe.transfer
    if section is None:
        return settings.steps_per_epoch(train)
    rows = section.images_per_epoch or section.count
    return max(rows // train.batch_size // settings.accumulate, 1)


def _bytes(module: nn.Module) -> int:
    """Of the state of a network."""
    return sum(value.numel() * value.element_size() for value in module.state_dict().values())
