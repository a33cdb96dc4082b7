"""The data of a run: its three tables as batches, all under the recipe's settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.blocks import blocks_of
from stillhouse.data.detection.table import BoxTable
from stillhouse.data.image_operations import resize_table
from stillhouse.data.load import Splits, load
from stillhouse.data.pixels import to_pixels
from stillhouse.data.signal_table import SignalTable
from stillhouse.data.sources.archives import ArchiveSettings
from stillhouse.data.tables import FloatTable, ImageTable, SampleTable, Table, images_of
from stillhouse.data.text.table import PassageTable, TokenTable
from stillhouse.data.text.tokenise import TokenSettings, tokenised
from stillhouse.engine.platform import Platform
from stillhouse.engine.threads import chosen_workers
from stillhouse.errors import DataError, RecipeError
from stillhouse.models.family import TokenFacts
from stillhouse.recipes.data import ArchivesSection, DataSection, TeacherDataSection
from stillhouse.recipes.text import TokensSection
from stillhouse.records.code import code_identity
from stillhouse.runs.job.augmentation import beside_transform, check_images_fit, settle_augment
from stillhouse.runs.job.boxes import open_boxes, with_views
from stillhouse.tasks import CLASSIFICATION, Task

NO_VALIDATION = (
    "it is read from validation data, and data.validation leaves no rows for it; give it a share "
    "such as 0.1, or leave it out"
)
"""What is said of a key that chooses on validation, where there is none."""
RowsAre = Literal["images", "boxes", "texts", "passages"]
READ_TWICE = 16
"""Samples that are read twice: a flip that no seed brings back must not pass by luck."""


def open_splits(
    section: DataSection,
    source: Any | None = None,
    *,
    open_set: bool = False,
    labelled: bool = True,
    rows_are: RowsAre = "images",
) -> Splits:
    """Load the data of a recipe (or of the Python object given instead), resized if asked.

    ``open_set``: whether the task is measured on classes that training has none of. ``labelled``:
    whether it reads labels. ``rows_are``: see `Task.rows_are`.
    """
    if rows_are == "boxes":
        return open_boxes(section, source)
    of_boxes = [key for key in ("annotations", "boxes") if getattr(section, key) is not None]
    if of_boxes:
        said = "it is of images with boxes (task: detection), and this task reads"
        raise RecipeError(f"data.{of_boxes[0]}", [f"{said} {rows_are}; leave it out"])
    of_text = [key for key in ("text", "tokens") if getattr(section, key) is not None]
    if of_text and rows_are == "images":
        said = "it is of a task that reads texts (task: text_classification), and this one reads "
        raise RecipeError(f"data.{of_text[0]}", [f"{said}images; leave it out"])
    if section.archives is not None and rows_are != "images":
        said = f"it is of archives of images, and this task reads {rows_are}; leave it out"
        raise RecipeError("data.archives", [said])
    splits = load(
        section.source if source is None else source,
        image=section.image,
        label=section.label,
        validation=section.validation,
        test=section.test,
        limit=section.limit,
        split_seed=section.split_seed,
        open_set=open_set,
        unseen=section.unseen,
        pairs=section.pairs,
        folds=section.folds,
        min_per_class=section.min_per_class,
        labelled=labelled and rows_are != "passages",
        texts=rows_are != "images",
        text=section.text,
        archives=_archives(section.archives),
    )
    if rows_are != "images":
        asked = TokensSection() if section.tokens is None else section.tokens
        settings = TokenSettings(**asked.model_dump())
        return tokenised(splits, settings, passages=rows_are == "passages")
    size = section.load_size or section.size
    if size is None:
        return splits
    resized = splits.changed(lambda table: resize_table(table, size), mark=str(size))
    return replace(resized, stored_side=_shorter_side(splits.train))


def _archives(section: ArchivesSection | None) -> ArchiveSettings | None:
    return None if section is None else ArchiveSettings(**dict(section))


def _shorter_side(table: Table) -> int | None:
    """Of the first image, as its source has it."""
    read = images_of(table, "size (data.size)")
    if isinstance(read, ImageTable):
        return min(read.height, read.width)
    return min(to_pixels(read.read(0), read.where(0)).shape[1:]) if len(read) else None


@dataclass(frozen=True)
class JobData:
    """The data of a run, served for a seed.

    ``augment`` is what training images go through; its mean and std are those of the training
    table, so validation and test never touch them. ``targets`` gives the labels of rows that are
    scored, where the data have none: a float tensor [rows, ...] of the rows of these batches.
    """

    splits: Splits
    augment: Augment
    section: DataSection
    batch: int
    platform: Platform
    transform: Callable[[Any], Tensor] | None = None
    eval_transform: Callable[[Any], Tensor] | None = None
    task: Task = CLASSIFICATION
    targets: Callable[[Batches], Tensor] | None = None

    def train(self, seed: int, views: int | None = None) -> Batches:
        """Training batches in the order of this seed; ``views`` None: a new one each epoch."""
        plain, mixed = self._plain(self.splits.train), self.augment
        augment = replace(plain.augment, mixup=mixed.mixup, cutmix=mixed.cutmix)
        return replace(
            plain, augment=augment, transform=self.transform, order_seed=seed, views=views
        )

    @property
    def varies(self) -> bool:
        """Whether two views of a sample may differ at all."""
        table = self.splits.train
        if isinstance(table, SignalTable):
            return table.varies
        if self.transform is not None:
            return True
        return self.augment.varies or not isinstance(table, ImageTable)

    def reads(self, role: str = "student") -> dict[str, str]:
        """What the networks of a role read: what ``forward`` calls it, and the signal."""
        table = self.splits.train
        own = table.signals if isinstance(table, SignalTable) else ()
        named = {name: f"{role}_{name}" for name in self.task.reads}
        return {n: f"batch.{named[n] if named[n] in own else n}" for n in self.task.reads}

    def inputs(self, batch: Mapping[str, Tensor], role: str = "student") -> dict[str, Tensor]:
        """What the networks of a role read of a batch, by what ``forward`` calls it."""
        return {name: batch[signal] for name, signal in self.reads(role).items()}

    def example(self, role: str, rows: int) -> dict[str, Tensor]:
        """So many rows of training as a network of this role reads them, again and again."""
        shown = self.inputs(self.train(0).sample(rows), role)
        return {n: x[torch.arange(rows) % len(x)] for n, x in shown.items()}

    def tokens(self, role: str = "student") -> TokenFacts | None:
        """Of the tokens that networks of a role read; None where rows are no texts."""
        table, causal = self.splits.train, self.task.rows_are == "passages"
        if not isinstance(table, TokenTable | PassageTable):
            return None
        theirs = table.teacher_tokens if isinstance(table, TokenTable) else None
        own = theirs if theirs is not None and role == "teacher" else table.tokens
        return TokenFacts(own.vocabulary, own.max_length, own.pad, causal)

    @property
    def noun(self) -> str:
        """What rows are called."""
        table = self.splits.train
        return table.noun if isinstance(table, SignalTable) else "images"

    @property
    def of_images(self) -> bool:
        """Whether rows are images."""
        return not isinstance(self.splits.train, SignalTable)

    @property
    def views(self) -> int | None:
        """How many views the students see, whose teacher may be cached; None: one each epoch.

        Teacher and control always see a new view each epoch: a bound that only spares teacher
        passes must not make the control weaker.
        """
        return self.section.views if isinstance(self.section.views, int) else None

    def views_cached(self, epochs: int) -> int:
        """How many views a teacher cache for so many epochs holds."""
        if not self.varies:
            return 1
        return min(self.views or epochs, epochs)

    def repeatable(self) -> bool:
        """Whether a sample under one view is the same image each time it is read."""
        # In this process: loader processes start alike, whatever their datasets draw from.
        train = replace(self.train(0), workers=0)
        first, again = train.sample(READ_TWICE), train.sample(READ_TWICE)
        read = {*self.reads().values(), *self.reads("teacher").values()}
        return all(torch.equal(first[signal], again[signal]) for signal in read)

    def images_identity(self) -> dict[str, Any]:
        """What makes an image out of a stored one, in training."""
        known = {"augment": self.augment.identity(), "transform": code_identity(self.transform)}
        table = self.splits.train
        return {**known, "views": repr(table.views)} if isinstance(table, BoxTable) else known

    def identity(self) -> dict[str, Any]:
        """What of the data decides a result: rows, splits, view seed, augmentation."""
        return {
            "data": self.splits.fingerprint,
            "view_seed": self.section.view_seed,
            **self.images_identity(),
            "eval_transform": code_identity(self.eval_transform),
            "batch": self.batch,
            **self._order_identity(),
            **self._task_identity(),
        }

    def _order_identity(self) -> dict[str, Any]:
        """How rows are shuffled, where that is not all of them together."""
        blocks = blocks_of(self.splits.train)
        return {} if blocks is None else {"shuffled_together": blocks.together}

    def _task_identity(self) -> dict[str, Any]:
        """What the labels mean, where they are no classes."""
        if self.task is CLASSIFICATION:
            return {}
        settings = dict(self.task.settings)
        known = [settings] if settings else []
        return {"task": [self.task.name, code_identity(self.task.loss), *known]}

    @property
    def validation(self) -> Batches | None:
        """Scored after each epoch; None when the recipe carves no validation split."""
        table = self.splits.validation
        return self._scored(table, "validation") if len(table) else None

    @property
    def test(self) -> Batches:
        """Scored once, at the end."""
        return self._scored(self.splits.test, "test")

    @property
    def unseen(self) -> Batches | None:
        """Rows of the classes that were held out of the other tables; None without any."""
        table = self.splits.unseen
        return None if table is None else self._scored(table, "unseen")

    def held_out(self, *, tested: bool = True) -> dict[str, Batches]:
        """Images of validation and test, to be shown and not scored."""
        tables = {"validation": self.splits.validation}
        tables |= {"test": self.splits.test} if tested else {}
        return {name: self._plain(table) for name, table in tables.items() if len(table)}

    @property
    def pictures(self) -> bool:
        """Whether images of these data may stand in reports."""
        shows = self.of_images or isinstance(self.splits.train, BoxTable)
        said = self.section.pictures if shows else False
        return not self.task.open_set if said == "auto" else said

    def of_teacher(self, section: TeacherDataSection | None) -> "JobData":
        """What a teacher is trained on, where that is not what its students are.

        Validation, test and normalisation stay those of the students, who are shown to it.
        """
        if section is None:
            return self
        splits, augment = self.splits, self.augment
        if section.limit is not None:
            rows = section.limit if isinstance(section.limit, int) else None
            splits = splits.limited(rows, self.section.split_seed)
        if section.augment is not None:
            key, asked, shown = "teacher.data.augment", section.augment, augment.size or None
            if self.transform is None:
                check_images_fit(asked, images_of(splits.train, key), key, shown=shown)
            else:
                asked = beside_transform(asked, key)
            augment = replace(augment, **asked.model_dump())
        return replace(self, splits=splits, augment=augment)

    def seen(self, rows: int) -> Batches:
        """Training rows as evaluation sees them: at most so many, spread evenly over the table."""
        table = self.splits.train
        if len(table) > rows:
            table = table.take(torch.linspace(0, len(table) - 1, rows).round().long())
        return self._scored(table)

    def plain(self, table: Table) -> Batches:
        """Rows as evaluation sees them."""
        return self._plain(table)

    def _scored(self, table: Table, name: str = "") -> Batches:
        """Rows as evaluation sees them, with what they are scored by.

        That is their labels, or the targets where they have none; and the pairs of them that are
        compared, where the data name such pairs.
        """
        plain = replace(self._plain(table), pairs=self.splits.pairs.get(name))
        if self.targets is None:
            return plain
        return replace(plain, table=replace(table, labels=self.targets(plain)))

    def _plain(self, table: Any) -> Batches:
        augment = self.augment.unmixed
        if isinstance(table, FloatTable):  # as a network sees them: nothing is left to normalise
            mean, std = table.mean_std()
            augment = replace(augment, mean=mean, std=std, size=0, resize=0)
        return Batches(
            table,
            augment,
            transform=self.eval_transform,
            batch_size=self.batch,
            view_seed=self.section.view_seed,
            device=self.platform.device,
            rank=self.platform.rank,
            world=self.platform.world,
            workers=self._workers,
        )

    @property
    def _workers(self) -> int:
        wanted = self.section.workers
        return chosen_workers(self.platform.device) if wanted == "auto" else wanted

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Of the first signal that a student reads; of images channels, height, width."""
        if self.of_images:
            return self.image_shape
        return tuple(next(iter(self.example("student", 1).values())).shape[1:])

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of what a network sees; read off one sample, once.

        Raises:
            DataError: an image has other dimensions than three.
        """
        shape = tuple(self.train(0).sample(1)["batch.image"].shape[1:])
        if len(shape) != 3:
            raise DataError(f"images must be [C, H, W]; these are {list(shape)}")
        return shape

    @property
    def classes(self) -> int:
        """How many classes it has."""
        return len(self.splits.classes)

    @property
    def outputs(self) -> int:
        """How wide the output of a network is."""
        return self.task.outputs(self.classes)


def open_data(
    section: DataSection,
    batch: int,
    platform: Platform,
    *,
    source: Any | None = None,
    transform: Callable[[Any], Tensor] | None = None,
    eval_transform: Callable[[Any], Tensor] | None = None,
    splits: Splits | None = None,
    task: Task = CLASSIFICATION,
) -> JobData:
    """Load the data (or take what was loaded before) and settle augmentation.

    Raises:
        RecipeError: one transform without the other: a random one must not meet the test set.
        DataError: the labels are none of the task.
    """
    if (transform is None) != (eval_transform is None):
        raise RecipeError(
            "data",
            ["give transform and eval_transform together (the same function twice if it draws "
             "nothing at random)"],
        )  # fmt: skip
    if not task.labelled and section.label is not None:
        said = f"the task '{task.name}' reads no labels; leave it out"
        raise RecipeError("data.label", [said])
    if splits is None:
        splits = open_splits(
            section,
            source,
            open_set=task.open_set,
            labelled=task.labelled,
            rows_are=task.rows_are,
        )
    problem = task.label_problem(splits.train.labels)
    if problem:
        raise DataError(problem)
    if isinstance(splits.train, SignalTable):
        if task.rows_are != "boxes":
            _refuse_of_images(section, splits.train, transform)
        if task.rows_are == "boxes":
            splits = with_views(splits, section)
        plain = Augment((0.0,), (1.0,))
        return JobData(splits, plain, section, batch, platform, task=task)
    if transform is None:
        for table in splits.tables.values():
            _check_images(table)
    augment = settle_augment(section, splits, transform)
    if blocks_of(splits.train) is not None and (augment.mixup or augment.cutmix):
        said = "mixup and cutmix take partners from all rows, and archives.shuffle (data.archives) "
        raise RecipeError("data.augment", [f"{said}holds some archives at a time; leave one out"])
    return JobData(splits, augment, section, batch, platform, transform, eval_transform, task)


def _refuse_of_images(
    section: DataSection, table: SignalTable, transform: Callable[[Any], Tensor] | None
) -> None:
    """What can be asked of images alone. Raises RecipeError."""
    written = section.augment.model_dump(exclude_defaults=True) if section.augment != "auto" else {}
    asked = [f"augment ({', '.join(written)})"] if written else []
    asked += [key for key in ("size", "load_size") if getattr(section, key) is not None]
    asked += ["transform"] if transform is not None else []
    if asked:
        said = f"{asked[0]} is about images, and the rows of these data are {table.noun}"
        raise RecipeError("data", [f"{said}; leave it out"])


def _check_images(table: Table) -> None:
    """What a source saw in its images that cannot be shown without a transform."""
    dataset = table.dataset if isinstance(table, SampleTable) and len(table) else None
    unfit, differ = getattr(dataset, "unfit", None), getattr(dataset, "differ", None)
    if unfit is not None:
        raise DataError(unfit)
    if differ is not None:
        raise DataError(
            f"images differ in size ({differ}), and those of a batch have one; give data.size: N, "
            "or a transform that resizes them"
        )
