"""Data whose rows are images with boxes: read, split, and shown as the recipe says."""

from dataclasses import replace
from typing import Any

from stillhouse.data.detection.sources import read_boxes
from stillhouse.data.detection.table import BoxTable
from stillhouse.data.detection.views import BoxViews
from stillhouse.data.load import Splits, load
from stillhouse.data.tables import Table
from stillhouse.errors import RecipeError
from stillhouse.recipes.data import AugmentSection, DataSection

KEYS = tuple(BoxViews.__dataclass_fields__)
"""The augmentations that boxes follow."""
USUAL = BoxViews(flip=True)
"""What ``augment: auto`` means for images with boxes."""
OF_IMAGES = ("load_size", "pairs", "folds", "unseen", "min_per_class")


def open_boxes(section: DataSection, source: Any | None = None) -> Splits:
    """The splits of a source of images with boxes.

    Raises:
        RecipeError: a key of images that have one class each.
        DataError: the source is none, or its annotations do not hold together.
    """
    default = type(section).model_fields
    for key in OF_IMAGES:
        if getattr(section, key) != default[key].default:
            said = "is about images of one class each, and the rows of these data are images with"
            raise RecipeError(f"data.{key}", [f"it {said} boxes; leave it out"])
    return load(
        section.source if source is None else source,
        validation=section.validation,
        test=section.test,
        limit=section.limit,
        split_seed=section.split_seed,
        reader=lambda given: read_boxes(
            given,
            longest=section.size,
            annotations=section.annotations,
            boxes=section.boxes,
            image=_column(section, "image"),
            objects=_column(section, "label"),
        ),
    )


def _column(section: DataSection, key: str) -> str | None:
    """A column by its name. Raises RecipeError where it is a number, which is of a sample."""
    named: str | int | None = getattr(section, key)
    if isinstance(named, int):
        raise RecipeError(f"data.{key}", [f"it is {named}, and columns of these data have names"])
    return named


def with_views(splits: Splits, section: DataSection) -> Splits:
    """The splits whose training rows are shown as the recipe says; other rows as they are.

    Raises:
        RecipeError: an augmentation that boxes cannot follow.
    """
    views, whole = box_views(section.augment), splits.whole
    return replace(
        splits,
        train=_under(splits.train, views),
        whole=None if whole is None else _under(whole, views),
    )


def _under(table: Table, views: BoxViews) -> Table:
    return replace(table, views=views) if isinstance(table, BoxTable) else table


def box_views(augment: AugmentSection | str, key: str = "data.augment") -> BoxViews:
    """The views of a recipe's augmentation. Raises RecipeError for what boxes cannot follow.

    >>> box_views("auto").flip
    True
    """
    if not isinstance(augment, AugmentSection):
        return USUAL
    written = augment.model_dump(exclude_defaults=True)
    strange = [name for name in written if name not in KEYS]
    if strange:
        said = f"boxes cannot follow {', '.join(strange)}; there is: {', '.join(KEYS)}"
        raise RecipeError(key, [said])
    return BoxViews(**{name: getattr(augment, name) for name in KEYS})
