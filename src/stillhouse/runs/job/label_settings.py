"""What ``label_smoothing`` and ``class_weights`` of a recipe mean for the classes of its data."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from stillhouse.data.load import Splits
from stillhouse.errors import RecipeError, nearest
from stillhouse.recipes.labels import BALANCED
from stillhouse.tasks import (
    CLASSIFICATION,
    TEXT_CLASSIFICATION,
    AdjustedClassification,
    Classification,
    Task,
)

Weights = str | Sequence[float] | Mapping[str, float]


class LabelSettings(Protocol):
    """A section that says how labels are learnt: the recipe, or a teacher's."""

    @property
    def label_smoothing(self) -> float:
        """The share of a label that is spread over all classes."""

    @property
    def class_weights(self) -> Weights | None:
        """How much each class counts."""


def adjusted_task(task: Task, asked: LabelSettings, splits: Splits, *, who: str = "") -> Task:
    """The task with the labelled term that a section asks for; a plain one where it asks nothing.

    Args:
        task: what the labels mean; how another section adjusts it is left out.
        asked: the section.
        splits: whose training rows tell how frequent a class is.
        who: the section, for messages; empty for the recipe itself.

    Raises:
        RecipeError: the task is no classification of ours, or the weights do not fit its classes.
    """
    if isinstance(task, AdjustedClassification):
        task = task.of
    on = [name for name in ("label_smoothing", "class_weights") if getattr(asked, name)]
    if not on:
        return task
    if not isinstance(task, Classification) or task not in (CLASSIFICATION, TEXT_CLASSIFICATION):
        said = f"it is of a classification, and the task '{task.name}' has a loss of its own; "
        raise RecipeError(_key(who, on[0]), [f"{said}leave it out"])
    weights: tuple[float, ...] = ()
    if asked.class_weights:
        weights = class_weights(asked.class_weights, splits, key=_key(who, "class_weights"))
    return AdjustedClassification(
        label_smoothing=asked.label_smoothing, class_weights=weights, of=task
    )


def class_weights(
    given: Weights, splits: Splits, *, key: str = "class_weights"
) -> tuple[float, ...]:
    """A weight for each class, so scaled that their mean over the training rows is 1.

    ``balanced``: so that each class counts as much in all, ``N / (K n_c)`` (scikit-learn's word and
    formula). Of a mapping a class that is not named counts 1 before scaling.

    Raises:
        RecipeError: a class has no training rows to balance, is not named so, or there is not one
            number for each.
    """
    names, labels = [str(name) for name in splits.classes], splits.train.labels
    counts = labels.bincount(minlength=len(names)).double()
    if isinstance(given, str):
        empty = [names[at] for at in (counts == 0).nonzero()[:, 0].tolist()]
        if empty:
            said = f"class '{empty[0]}' has no training rows, so '{BALANCED}' has no weight for it"
            raise RecipeError(key, [f"{said}; give numbers by class name"])
        found = 1 / counts
    elif isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise RecipeError(key, [
                f"'{name}' is no class of the data; {nearest(name, names)}" for name in unknown[:3]
            ])  # fmt: skip
        found = torch.tensor([given.get(name, 1.0) for name in names], dtype=torch.float64)
    else:
        if len(given) != len(names):
            said = f"{len(given)} numbers for {len(names)} classes ({', '.join(names[:3])}, ...)"
            raise RecipeError(key, [f"{said}; give one for each, in their order"])
        found = torch.tensor(list(given), dtype=torch.float64)
    return tuple((found / ((found * counts).sum() / counts.sum())).tolist())


def labels_told(task: Task, classes: Sequence[object]) -> list[str]:
    """What has to be said of labels that are not taken as they are, in a line or none."""
    if not isinstance(task, AdjustedClassification):
        return []
    said = [f"smoothed by {task.label_smoothing:g}"] if task.label_smoothing else []
    weights = task.class_weights
    if weights:
        least, most = (weights.index(find(weights)) for find in (min, max))
        said.append(
            f"classes count {weights[least]:.3g} ({classes[least]}) to {weights[most]:.3g} "
            f"({classes[most]})"
        )
    return [f"labels: {'; '.join(said)}"]


def _key(who: str, name: str) -> str:
    return f"{who}.{name}" if who else name
