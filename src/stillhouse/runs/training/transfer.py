"""The transfer set of a run: made from the trained teacher once, shown to student and control."""

import inspect
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stillhouse.data.batches import Batches
from stillhouse.data.sources.synthesis import ROWS, present, read_synthesis
from stillhouse.data.tables import FloatTable, RepeatedTable
from stillhouse.errors import RecipeError
from stillhouse.recipes.data import ADI, REAL, AugmentSection, TransferSection
from stillhouse.records.environment import torch_version
from stillhouse.records.fingerprint import fingerprint
from stillhouse.records.locks import lock_on
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.inputs import behind
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.teacher import Teacher
from stillhouse.synthesis import SYNTHESES, Maker, make_gallery, make_maker, synthesize
from stillhouse.synthesis.balance import Counts, read_counts
from stillhouse.synthesis.teacher import frozen_teacher

PREPARE_ROWS = 1024
"""Rows of the table that stands in for a transfer set while a run is checked."""
SHIFT, BLUR = 1 / 8, 1 / 16
"""``augment: auto`` shifts and blurs by up to these fractions of a side."""


@dataclass(frozen=True)
class TransferSet:
    """A transfer set that was made, and the data of a run that show it.

    Args:
        data: train is the transfer set, validation is empty, test is the real one.
        directory: its files.
        seed: of the synthesis.
        counts: what the teacher says of the images that are shown, and the seconds they took.
    """

    data: JobData
    directory: Path
    seed: int
    counts: Counts


def written_out(section: TransferSection, data: JobData) -> TransferSection:
    """The section with its augmentation written out.

    ``auto`` is what carried furthest on validation rows of MNIST (docs/evidence/data-free.md),
    without a mirror: left and right may matter.
    """
    if section.augment != "auto":
        return section
    _, height, _ = data.image_shape
    chosen = AugmentSection(rotate=15, shift=SHIFT * height, scale=2, blur=BLUR * height)
    return section.model_copy(update={"augment": chosen})


def check_transfer(job: Job, teacher: nn.Module) -> None:
    """Make sure, before anything is trained, that this method can work on such a teacher.

    Raises:
        ModelError, RecipeError, DataError: what it misses.
    """
    maker, count = _maker(job, seed=0), _section(job).count
    maker.check_count(count)
    with frozen_teacher(
        behind(_teacher(job).input, teacher),
        job.data.image_shape,
        job.data.platform,
        mean=job.data.augment.mean,
        std=job.data.augment.std,
    ) as frozen:
        maker.check(frozen)


def stand_in(job: Job) -> Job:
    """The job as its students see it, before anything was made for them.

    A set that is not made yet has grey images of its shapes; a job without one is itself.
    """
    section = job.recipe.transfer
    if section is None:
        return job
    channels, height, width = job.data.image_shape
    rows = min(section.images_per_epoch or section.count, PREPARE_ROWS)
    grey = FloatTable(
        torch.zeros(rows, height, width, channels), torch.zeros(rows, dtype=torch.int64)
    )
    return replace(job, data=_showing(job.data, section, grey, mark="not made yet"))


def make_transfer_set(job: Job, teacher: nn.Module, student_seed: int) -> TransferSet:
    """Make the set for the student of this seed, or find it, or make what is missing of it.

    Args:
        job: with its student as it starts from this teacher.
        teacher: trained.
        student_seed: that of the set, where each student has its own.
    """
    section, data, platform = _section(job), job.data, job.data.platform
    seed = student_seed if section.seed == "student" else section.seed
    maker = _maker(job, seed)
    directory = job.shared / f"transfer-{maker.name}-seed{seed}-{_mark(job, maker, teacher, seed)}"
    job.shared.mkdir(parents=True, exist_ok=True)
    with platform.main_holds(lambda: lock_on(directory.with_suffix(".lock"))):
        # A larger set that another arm asked for begins with the same images.
        there = max((sum(run) for run in present(directory, ROWS)), default=0)
        synthesize(
            behind(_teacher(job).input, teacher),
            method=maker,
            count=max(section.count, there),
            image_shape=data.image_shape,
            out=directory,
            seed=seed,
            mean=data.augment.mean,
            std=data.augment.std,
            classes=data.splits.classes,
            platform=platform,
            observer=job.watcher,
        )
        made = read_synthesis(directory).parts["train"]
        found = read_counts(directory, count=section.count)
    _tell(job, section, found)
    first = made.take(torch.arange(section.count))
    if not isinstance(first, FloatTable):
        raise RecipeError("transfer", [f"{directory} holds no float images"])
    mark = fingerprint({"set": directory.name, "count": section.count})
    return TransferSet(_showing(data, section, first, mark), directory, seed, found)


def write_gallery(job: Job, made: TransferSet) -> None:
    """Keep beside the run what a reader wants to see of a transfer set."""
    shown = (
        (batch["batch.image"].cpu(), batch["batch.label"].cpu())
        for batch in _plain(job.data).once()
    )
    make_gallery(made.directory, count=_section(job).count, training=shown).write(job.out)


def _showing(data: JobData, section: TransferSection, table: FloatTable, mark: str) -> JobData:
    """The data with this table to learn from; no validation, since that would be real data."""
    augment, splits, rows = section.augment, data.splits, section.images_per_epoch
    told = {} if isinstance(augment, str) else augment.model_dump()
    return replace(
        data,
        splits=replace(
            splits,
            train=table if rows is None else RepeatedTable.of(table, max(rows, len(table))),
            validation=splits.validation.take(torch.arange(0)),
            fingerprint=f"{splits.fingerprint}-{mark}-{rows}",
        ),
        augment=replace(data.augment, **told),
        transform=None,
    )


def _mark(job: Job, maker: Maker, teacher: nn.Module, seed: int) -> str:
    """What decides the images; their number only where an image depends on it."""
    known: dict[str, Any] = {
        "method": maker.name,
        "settings": dict(maker.settings),
        "teacher": job.teacher_identity(teacher),
        "input": job.teacher_input_settings(),
        **job.student_input_settings(),
        "shape": job.data.image_shape,
        "mean": job.data.augment.mean,
        "std": job.data.augment.std,
        "seed": seed,
        "precision": job.data.platform.precision,
        "torch": torch_version(),
    }
    if maker.coupled or maker.chained:
        known |= {"count": _section(job).count, "batch": maker.batch}
    return fingerprint(known)


def _maker(job: Job, seed: int) -> Maker:
    """The method with what a recipe need not say: its student, its data."""
    settings = _section(job).settings
    name = settings["name"]
    if name == REAL:
        return make_maker({"name": name, "table": _real_images(job.data)})
    if name == ADI:
        file = {"weights": settings.pop("weights"), "weights_head": "file"}
        update = {**file, "weights_key": None, "weights_prefix": None, "start": None}
        given = job.student.section.model_copy(update=update)
        student = replace(job.student, section=given).make(seed)
        return make_maker({**settings, "student": behind(job.student_input, student)})
    build = next(build for build in SYNTHESES if build.__name__ == name)
    if "student" in inspect.signature(build).parameters:
        settings["student"] = behind(job.student_input, job.student.make(seed))
    return make_maker(settings)


def _real_images(data: JobData) -> FloatTable:
    """The training images as the teacher takes them, not augmented."""
    images = [batch["batch.image"].cpu().permute(0, 2, 3, 1) for batch in _plain(data).once()]
    return FloatTable(torch.cat(images).contiguous(), data.splits.train.labels)


def _plain(data: JobData) -> Batches:
    """All training images in each process, not augmented when they are gone through once."""
    return replace(data.train(0), transform=data.eval_transform, rank=0, world=1)


def _tell(job: Job, section: TransferSection, found: Counts) -> None:
    balance = found.balance
    job.watcher.say(
        f"transfer set: {section.count} images of {section.method.name} ({found.seconds:.0f} s to "
        f"make); the teacher gives each class {balance['smallest_class']} to "
        f"{balance['largest_class']} of them"
    )


def _section(job: Job) -> TransferSection:
    if job.recipe.transfer is None:
        raise RecipeError("transfer", ["the recipe has no transfer set"])
    return job.recipe.transfer


def _teacher(job: Job) -> Teacher:
    if job.teacher is None:
        raise RecipeError("transfer", ["a transfer set is made from a teacher; add teacher: MODEL"])
    return job.teacher
