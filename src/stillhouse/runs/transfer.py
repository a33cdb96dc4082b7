"""The transfer set of a run: made from the trained teacher once, shown to student and control."""

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock
from torch import nn

from stillhouse.bridges import InputAdapter
from stillhouse.data.batches import Batches
from stillhouse.data.sources.synthesis import ROWS, present, read_synthesis
from stillhouse.data.tables import FloatTable, RepeatedTable
from stillhouse.errors import RecipeError
from stillhouse.recipes.augment import AugmentSection
from stillhouse.recipes.transfer import ADI, REAL, TransferSection
from stillhouse.records.fingerprint import fingerprint
from stillhouse.runs.ancestors import Ancestor
from stillhouse.runs.feeds import Feeds
from stillhouse.synthesis import SYNTHESES, Maker, make_gallery, make_maker, synthesize
from stillhouse.synthesis.balance import Counts, read_counts
from stillhouse.synthesis.teacher import frozen_teacher

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation

PREPARE_ROWS = 1024
"""Rows of the table that stands in for a transfer set while a run is checked."""
SHIFT, BLUR = 1 / 8, 1 / 16
"""``augment: auto`` shifts and blurs by up to these fractions of a side."""


@dataclass(frozen=True)
class Transferred:
    """A transfer set that was made, and the feeds that show it.

    Args:
        feeds: train is the transfer set, validation is empty, test is the real one.
        directory: its files.
        seed: of the synthesis.
        tally: what the teacher says of the images that are shown, and the seconds they took.
    """

    feeds: Feeds
    directory: Path
    seed: int
    tally: Counts


def settled(section: TransferSection, feeds: Feeds) -> TransferSection:
    """The section with its augmentation written out.

    ``auto`` is what carried furthest on validation rows of MNIST (docs/evidence/data-free.md),
    without a mirror: left and right may matter.
    """
    if section.augment != "auto":
        return section
    _, height, _ = feeds.image_shape
    chosen = AugmentSection(rotate=15, shift=SHIFT * height, scale=2, blur=BLUR * height)
    return section.model_copy(update={"augment": chosen})


def check_transfer(job: "Distillation", teacher: nn.Module) -> None:
    """Make sure, before anything is trained, that this method can work on such a teacher.

    Raises:
        ModelError, RecipeError, DataError: what it misses.
    """
    section, ancestor = _section(job), _teacher(job)
    maker = _maker(job, section, teacher)
    maker.check_count(section.count)
    with frozen_teacher(
        _seeing(ancestor, teacher),
        job.feeds.image_shape,
        job.feeds.platform,
        mean=job.feeds.augment.mean,
        std=job.feeds.augment.std,
    ) as frozen:
        maker.check(frozen)


def stand_in(job: "Distillation") -> Feeds:
    """Feeds of a set that is not made yet: its shapes, and grey images."""
    section, (channels, height, width) = _section(job), job.feeds.image_shape
    rows = min(section.images_per_epoch or section.count, PREPARE_ROWS)
    grey = FloatTable(
        torch.zeros(rows, height, width, channels), torch.zeros(rows, dtype=torch.int64)
    )
    return _shown(job.feeds, section, grey, mark="not made yet")


def make_transfer(job: "Distillation", teacher: nn.Module, student_seed: int) -> Transferred:
    """Make the set for the student of this seed, or find it, or make what is missing of it."""
    section, ancestor, feeds = _section(job), _teacher(job), job.feeds
    seed = student_seed if section.seed == "student" else section.seed
    maker = _maker(job, section, teacher, seed)
    directory = job.shared / f"transfer-{maker.name}-seed{seed}-{_mark(job, maker, teacher, seed)}"
    platform = feeds.platform
    job.shared.mkdir(parents=True, exist_ok=True)
    with FileLock(directory.with_suffix(".lock")) if platform.main else nullcontext():
        if platform.main:
            # A larger set that another arm asked for begins with the same images.
            there = max((sum(run) for run in present(directory, ROWS)), default=0)
            synthesize(
                _seeing(ancestor, teacher),
                method=maker,
                count=max(section.count, there),
                image_shape=feeds.image_shape,
                out=directory,
                seed=seed,
                mean=feeds.augment.mean,
                std=feeds.augment.std,
                classes=feeds.splits.classes,
                device=str(platform.device),
                precision=platform.precision,
                observer=job.watcher,
            )
        platform.wait()
        made = read_synthesis(directory).parts["train"]
        found = read_counts(directory, count=section.count)
    _tell(job, section, found)
    first = made.take(torch.arange(section.count))
    if not isinstance(first, FloatTable):
        raise RecipeError("transfer", [f"{directory} holds no float images"])
    mark = fingerprint({"set": directory.name, "count": section.count})
    return Transferred(_shown(feeds, section, first, mark), directory, seed, found)


def write_portrait(job: "Distillation") -> None:
    """Keep beside the run what a reader wants to see of its (first) transfer set."""
    for made in list(job.transferred.values())[:1]:
        shown = ((batch["batch.image"].cpu(), batch["batch.label"].cpu())
                 for batch in _plain(job.feeds).once())  # fmt: skip
        portrait = make_gallery(made.directory, count=_section(job).count, training=shown)
        portrait.write(job.out)


def _shown(feeds: Feeds, section: TransferSection, table: FloatTable, mark: str) -> Feeds:
    """Feeds that show this table; validation is left out, since it would be real data."""
    augment, splits = section.augment, feeds.splits
    rows = section.images_per_epoch
    told = {} if isinstance(augment, str) else augment.model_dump()
    return replace(
        feeds,
        splits=replace(
            splits,
            train=table if rows is None else RepeatedTable.of(table, max(rows, len(table))),
            validation=splits.validation.take(torch.arange(0)),
            fingerprint=f"{splits.fingerprint}-{mark}-{rows}",
        ),
        augment=replace(feeds.augment, **told),
        transform=None,
    )


def _mark(job: "Distillation", maker: Maker, teacher: nn.Module, seed: int) -> str:
    """What decides the images; their number only where an image depends on it."""
    known: dict[str, Any] = {
        "method": maker.name,
        "settings": dict(maker.settings),
        "teacher": job.teacher_identity(teacher),
        "input": job.input_settings(),
        **job.student_input_settings(),
        "shape": job.feeds.image_shape,
        "mean": job.feeds.augment.mean,
        "std": job.feeds.augment.std,
        "seed": seed,
        "precision": job.feeds.platform.precision,
    }
    if maker.coupled or maker.chained:
        known |= {"count": _section(job).count, "batch": maker.batch}
    return fingerprint(known)


def _maker(
    job: "Distillation", section: TransferSection, teacher: nn.Module, seed: int = 0
) -> Maker:
    """The method with what a recipe need not say: its student, its data."""
    settings = section.settings
    name = settings["name"]
    if name == REAL:
        return make_maker({"name": name, "table": _real_images(job.feeds)})
    if name == ADI:
        given = job.student.section.model_copy(update={"weights": settings.pop("weights")})
        student = replace(job.student, section=given).make(seed, teacher)
        return make_maker({**settings, "student": _behind(job.student_input, student)})
    if "student" in _asks(name):
        settings["student"] = _behind(job.student_input, job.student.make(seed, teacher))
    return make_maker(settings)


def _asks(name: str) -> Mapping[str, Any]:
    """The parameters of a method."""
    found = next(build for build in SYNTHESES if build.__name__ == name)
    return inspect.signature(found).parameters


def _real_images(feeds: Feeds) -> FloatTable:
    """The training images as the teacher takes them, not augmented."""
    images = [batch["batch.image"].cpu().permute(0, 2, 3, 1) for batch in _plain(feeds).once()]
    return FloatTable(torch.cat(images).contiguous(), feeds.splits.train.labels)


def _plain(feeds: Feeds) -> Batches:
    """The training images, not augmented when they are gone through once."""
    return replace(feeds.train(0), transform=feeds.eval_transform)


def _seeing(ancestor: Ancestor, teacher: nn.Module) -> nn.Module:
    """The teacher as a function of the data's image."""
    return _behind(ancestor.input, teacher)


def _behind(adapter: InputAdapter | None, module: nn.Module) -> nn.Module:
    """A network behind its own form of the image."""
    return module if adapter is None else nn.Sequential(adapter, module)


def _tell(job: "Distillation", section: TransferSection, found: Counts) -> None:
    balance = found.balance
    job.watcher.say(
        f"transfer set: {section.count} images of {section.method.name} ({found.seconds:.0f} s to "
        f"make); the teacher gives each class {balance['smallest_class']} to "
        f"{balance['largest_class']} of them"
    )


def _section(job: "Distillation") -> TransferSection:
    if job.recipe.transfer is None:
        raise RecipeError("transfer", ["the recipe has no transfer set"])
    return job.recipe.transfer


def _teacher(job: "Distillation") -> Ancestor:
    if job.teacher is None:
        raise RecipeError("transfer", ["a transfer set is made from a teacher; add teacher: MODEL"])
    return job.teacher
