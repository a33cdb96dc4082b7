"""What labels mean: the tasks, one file each, and the catalogue of their names."""

from collections.abc import Callable

from stillhouse.errors import RecipeError, nearest
from stillhouse.tasks.adjusted import AdjustedClassification
from stillhouse.tasks.classification import CLASSIFICATION, Classification, classification
from stillhouse.tasks.detection import Detection, detection
from stillhouse.tasks.embedding import Embedding, embedding
from stillhouse.tasks.language_model import LanguageModel, language_model
from stillhouse.tasks.task import Accumulator, Task
from stillhouse.tasks.text_classification import (
    TEXT_CLASSIFICATION,
    TextClassification,
    text_classification,
)
from stillhouse.tasks.verification import Verification, verification

__all__ = [
    "CLASSIFICATION",
    "TASKS",
    "TEXT_CLASSIFICATION",
    "Accumulator",
    "AdjustedClassification",
    "Classification",
    "Detection",
    "Embedding",
    "LanguageModel",
    "Task",
    "TextClassification",
    "Verification",
    "find_task",
]

TASKS: tuple[Callable[..., Task], ...] = (
    classification,
    verification,
    embedding,
    detection,
    text_classification,
    language_model,
)
"""Functions of settings, by name the choices of a recipe's ``task``."""


def find_task(name: str) -> Task:
    """The task of that name, with its defaults.

    Raises:
        RecipeError: there is none; with the nearest names.

    >>> find_task("classification").metric.name
    'accuracy'
    """
    for make in TASKS:
        if make.__name__ == name:
            return make()
    names = [make.__name__ for make in TASKS]
    raise RecipeError("task", [f"no task '{name}'; {nearest(name, names)}"])
