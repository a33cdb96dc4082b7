"""The user's own map-style datasets: anything with a length that gives `(image, label)`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.sources.labelled_splits import SourceSplits, number_labels
from stillhouse.data.tables import Samples, SampleTable
from stillhouse.errors import DataError


def read_datasets(given: Sequence[Any]) -> SourceSplits:
    """Read one dataset, `(train, test)` or `(train, validation, test)`.

    Images are left to be read when needed. Labels are needed now: they are taken from the
    attribute `targets` (as torchvision has it) where the first and last sample agree with it;
    otherwise every sample is read once.

    Raises:
        DataError: not a map-style dataset, samples that are not (image, label), an image that is
            neither PIL, array nor tensor, a row that cannot be read, and what `number_labels`
            refuses.
    """
    splits = {1: ("train",), 2: ("train", "test"), 3: ("train", "validation", "test")}
    if len(given) not in splits:
        raise DataError(
            f"{len(given)} datasets were given; wanted is one, (train, test) or (train, "
            "validation, test)"
        )
    datasets = dict(zip(splits[len(given)], given, strict=True))
    raw = {split: _labels(split, dataset) for split, dataset in datasets.items()}
    labels, classes = number_labels(
        raw, lambda split, row: f"row {row} of the {split} dataset", _class_names(datasets["train"])
    )
    parts = {
        split: SampleTable(dataset, labels[split], torch.arange(len(dataset)))
        for split, dataset in datasets.items()
    }
    return SourceSplits(type(given[0]).__name__, parts, classes)


def _labels(split: str, dataset: Any) -> np.ndarray:
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(
            f"the {split} dataset is a {type(dataset).__name__}; wanted is a map-style dataset "
            "with __len__ and __getitem__ (put the samples of an iterable one into a list)"
        )
    if not len(dataset):
        raise DataError(f"the {split} dataset has no rows; every split needs at least one")
    ends = {row: _sample_label(split, dataset, row) for row in (0, len(dataset) - 1)}
    targets = _targets(dataset)
    if targets is not None and all(targets[row] == label for row, label in ends.items()):
        return _as_array(targets)
    return _as_array([_sample_label(split, dataset, row) for row in range(len(dataset))])


def _as_array(labels: list[Any]) -> np.ndarray:
    """Keep numbers and text apart: numpy would make text of a mixture."""
    return np.array(labels, dtype=object if any(isinstance(v, str) for v in labels) else None)


def _targets(dataset: Any) -> list[Any] | None:
    targets = getattr(dataset, "targets", None)
    if isinstance(targets, Tensor | np.ndarray):
        targets = targets.tolist()
    return targets if isinstance(targets, list) and len(targets) == len(dataset) else None


def _sample_label(split: str, dataset: Samples, row: int) -> Any:
    where = f"row {row} of the {split} dataset"
    try:
        sample = dataset[row]
    except DataError:
        raise
    except Exception as error:  # the user's code raises what it likes
        raise DataError(f"{where} cannot be read: {type(error).__name__}: {error}") from error
    if isinstance(sample, Mapping) or not isinstance(sample, Sequence) or len(sample) != 2:
        raise DataError(f"{where} is {_said(sample)}; wanted is (image, label)")
    image, label = sample
    is_array = isinstance(image, Tensor | np.ndarray) and image.ndim in (2, 3)
    if not is_array and not hasattr(image, "getbands"):  # PIL, without importing it
        raise DataError(
            f"{where}: the image is {_said(image)}; wanted is a PIL image, an array [H, W, C] or a "
            "tensor [C, H, W]"
        )
    if isinstance(label, Tensor | np.ndarray | np.generic) and math.prod(label.shape) == 1:
        label = label.item()
    if isinstance(label, bool) or not isinstance(label, int | str):
        raise DataError(f"{where}: the label is {_said(label)}; wanted is a whole number or a name")
    return label


def _said(value: Any) -> str:
    kind = type(value).__name__
    if hasattr(value, "shape"):
        return f"a {kind} {list(value.shape)}"
    if isinstance(value, Sequence | Mapping) and not isinstance(value, str):
        return f"a {kind} of {len(value)}"
    return f"a {kind} ({value!r:.40})"


def _class_names(dataset: Any) -> tuple[str, ...] | None:
    """Take the attribute `classes` (as torchvision has it)."""
    names = getattr(dataset, "classes", None)
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None
