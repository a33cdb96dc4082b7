"""The data of a run: its three tables as batches, all under the recipe's settings."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.image_operations import resize_table
from stillhouse.data.load import Splits, load
from stillhouse.data.pixels import CHANNELS, to_pixels
from stillhouse.data.samples import mean_std_of
from stillhouse.data.tables import FloatTable, ImageTable, SampleTable, Table, is_decoded_here
from stillhouse.engine.platform import Platform
from stillhouse.engine.task import CLASSIFICATION, Task
from stillhouse.engine.threads import chosen_workers
from stillhouse.errors import DataError, RecipeError
from stillhouse.recipes.data import AugmentSection, DataSection, TeacherDataSection
from stillhouse.records.code import code_identity

LEAST_STD = 1 / 255
"""A channel that never changes is divided by one grey level, not by zero."""
SIZED = {"crop", "cutout", "shift", "blur"}
"""Augmentations in pixels."""
READ_TWICE = 16
"""Samples that are read twice: a flip that no seed brings back must not pass by luck."""


def open_splits(section: DataSection, source: Any | None = None) -> Splits:
    """Load the data of a recipe (or of the Python object given instead), resized if asked."""
    splits = load(
        section.source if source is None else source,
        image=section.image,
        label=section.label,
        validation=section.validation,
        test=section.test,
        limit=section.limit,
        split_seed=section.split_seed,
    )
    if section.size is None:
        return splits
    size = section.size
    return replace(
        splits,
        train=resize_table(splits.train, size),
        validation=resize_table(splits.validation, size),
        test=resize_table(splits.test, size),
        whole=None if splits.whole is None else resize_table(splits.whole, size),
        fingerprint=f"{splits.fingerprint}-{size}",
    )


@dataclass(frozen=True)
class JobData:
    """The data of a run, served for a seed.

    ``augment`` is what training images go through; its mean and std are those of the training
    table, so validation and test never touch them.
    """

    splits: Splits
    augment: Augment
    section: DataSection
    batch: int
    platform: Platform
    transform: Callable[[Any], Tensor] | None = None
    eval_transform: Callable[[Any], Tensor] | None = None
    task: Task = CLASSIFICATION

    def train(self, seed: int, views: int | None = None) -> Batches:
        """Training batches in the order of this seed; ``views`` None: a new one each epoch."""
        plain = self._plain(self.splits.train)
        return replace(plain, transform=self.transform, order_seed=seed, views=views)

    @property
    def varies(self) -> bool:
        """Whether two views of a sample may differ at all."""
        if self.transform is not None:
            return True
        return self.augment.varies or not isinstance(self.splits.train, ImageTable)

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
        return torch.equal(first["batch.image"], again["batch.image"])

    def images_identity(self) -> dict[str, Any]:
        """What makes an image out of a stored one, in training."""
        return {"augment": self.augment.identity(), "transform": code_identity(self.transform)}

    def identity(self) -> dict[str, Any]:
        """What of the data decides a result: rows, splits, view seed, augmentation."""
        return {
            "data": self.splits.fingerprint,
            "view_seed": self.section.view_seed,
            **self.images_identity(),
            "eval_transform": code_identity(self.eval_transform),
            "batch": self.batch,
            **self._task_identity(),
        }

    def _task_identity(self) -> dict[str, Any]:
        """What the labels mean, where they are no classes."""
        if self.task is CLASSIFICATION:
            return {}
        return {"task": [self.task.name, code_identity(self.task.loss)]}

    @property
    def validation(self) -> Batches | None:
        """Scored after each epoch; None when the recipe carves no validation split."""
        table = self.splits.validation
        return self._plain(table) if len(table) else None

    @property
    def test(self) -> Batches:
        """Scored once, at the end."""
        return self._plain(self.splits.test)

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
            _check_images_fit(section.augment, splits.train, "teacher.data.augment")
            augment = replace(augment, **section.augment.model_dump())
        return replace(self, splits=splits, augment=augment)

    def seen(self, rows: int) -> Batches:
        """Training rows as evaluation sees them: at most so many, spread evenly over the table."""
        table = self.splits.train
        if len(table) > rows:
            table = table.take(torch.linspace(0, len(table) - 1, rows).round().long())
        return self._plain(table)

    def _plain(self, table: Any) -> Batches:
        augment = self.augment
        if isinstance(table, FloatTable):  # as a network sees them: nothing is left to normalise
            mean, std = table.mean_std()
            augment = replace(augment, mean=mean, std=std)
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
    if splits is None:
        splits = open_splits(section, source)
    problem = task.label_problem(splits.train.labels)
    if problem:
        raise DataError(problem)
    if transform is None:
        for table in (splits.train, splits.validation, splits.test):
            _check_images(table)
    augment = settle_augment(section, splits, transform)
    return JobData(splits, augment, section, batch, platform, transform, eval_transform, task)


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


def settle_augment(
    section: DataSection, splits: Splits, transform: Callable[[Any], Tensor] | None = None
) -> Augment:
    """What ``augment: auto`` means for these images, and their mean and std.

    Images that are read from files or arrays, whether they lie in memory or are decoded on each
    read: colour ones pad-crop by 4 and flip (the CIFAR recipe); grey ones, which are mostly digits
    and letters, pad-crop by a fourteenth of the shorter side (2 of 28), never a flip. Datasets of
    one's own (which may augment by themselves) without ``data.size``, and what a transform makes:
    nothing. Floats are taken as they are, so they have mean 0 and std 1; what is asked for is
    applied to them, too, and what is padded is 0.

    Raises:
        RecipeError: augmentation beside a transform, which takes its place.
    """
    table, written = splits.train, _written(section)
    if transform is not None:
        asked = {} if written is None else written.model_dump(exclude_defaults=True)
        if asked:
            said = f"a transform takes the place of augment ({', '.join(asked)}), so it would not "
            raise RecipeError(
                "data", [f"{said}be applied; write 'augment: none', or leave out one"]
            )
        written = AugmentSection()
    mean, std = mean_std_of(table, transformed=transform is not None)
    std = tuple(max(value, LEAST_STD) for value in std)
    if transform is None:
        _check_images_fit(written, table, "data.augment")
    return Augment(mean, std, **(written or _usual(table)).model_dump())


def _usual(table: Table) -> AugmentSection:
    """What ``augment: auto`` means for images that nobody made ready."""
    if isinstance(table, ImageTable):
        height, width, channels = table.height, table.width, table.channels
    elif is_decoded_here(table.dataset):
        channels, height, width = to_pixels(table.read(0), table.where(0)).shape
    else:
        return AugmentSection()
    if channels == 1:
        return AugmentSection(crop=max(round(min(height, width) / 14), 1))
    return AugmentSection(crop=4, flip=True)


def _check_images_fit(augment: AugmentSection | None, table: Table, key: str) -> None:
    """Augmentation that these images cannot have.

    A crop or a shift by more than an image shows nothing of it; colours are those of grey or RGB
    pixels, and a grey image has neither hue nor saturation.

    Raises:
        RecipeError: what does not fit.
    """
    if augment is None or not len(table):
        return
    problems = _side_problems(augment, table) if isinstance(table, ImageTable) else []
    asked = Augment((), (), **augment.model_dump()).of_colours
    if asked:
        problems += _colour_problems(asked, table)
    if problems:
        raise RecipeError(key, problems)


def _side_problems(augment: AugmentSection, table: ImageTable) -> list[str]:
    side = min(table.height, table.width)
    images = f"the images are {table.height} x {table.width}"
    return [
        f"{key} is {value:g}, and {images}; give at most {side}"
        for key, value in augment.model_dump(include=SIZED).items()
        if value > side
    ]


def _colour_problems(asked: list[str], table: Table) -> list[str]:
    if isinstance(table, ImageTable):
        pixels, channels = table.images.dtype == torch.uint8, table.channels
    else:
        image = to_pixels(table.read(0), table.where(0))
        pixels, channels = image.dtype == torch.uint8, image.shape[0]
    if not pixels or channels not in CHANNELS:
        what = f"pixels with {channels} channels" if pixels else "floats, no pixels"
        return [f"{', '.join(asked)}: these are for grey or RGB pixels, and the images are {what}"]
    without = [name for name in asked if name in ("hue", "saturation")]
    if channels == 1 and without:
        said = f"{', '.join(without)}: the images are grey, which has none"
        return [f"{said}; give brightness and contrast alone"]
    return []


def _written(section: DataSection) -> AugmentSection | None:
    return section.augment if isinstance(section.augment, AugmentSection) else None
