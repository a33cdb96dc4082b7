"""The user's own map-style datasets: anything with a length that gives an image and a label."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from stillhouse.data.pixels import channels_of, is_image, is_picture, plain_picture, to_pixels
from stillhouse.data.sources.columns import LABEL_NAMES
from stillhouse.data.sources.labelled_splits import SourceSplits, number_labels, unlabelled
from stillhouse.data.tables import SampleTable, fixed_seeds, image_bytes
from stillhouse.errors import DataError

IMAGE_NAMES = ("image", "images", "img", "pixel_values", "pixels", "jpg", "png")
NO_LABEL = -1
"""What a sample has in the place of a label that nobody reads."""
Key = str | int | None
"""Where in a sample something is: a key, a position, or None where its form says so."""


def read_datasets(
    given: Mapping[str, Any],
    image: str | int | None = None,
    label: str | int | None = None,
    *,
    labelled: bool = True,
) -> SourceSplits:
    """Read the user's own datasets, one for each split.

    Every sample is read once: labels are what `__getitem__` gives, never what an attribute
    (`targets`) says, and the fingerprint covers all images. Afterwards images are read when needed.
    A sample is (image, label), a mapping, or a longer tuple of which `image` and `label` say where
    they are. Images of Pillow of which some are grey and some are not become RGB. Where no labels
    are read, a sample may be the image alone, and what comes after the image is left.

    Args:
        given: split -> dataset; `train` is there.
        image: the key or position of the image in a sample.
        label: the key or position of the label.
        labelled: whether labels are read at all.

    Raises:
        DataError: not a map-style dataset, samples that are not as described, an image that is
            neither PIL, array nor tensor, a row that cannot be read, and what `number_labels`
            refuses.
    """
    parts = {
        name: OwnSamples(name, dataset, image, label, labelled=labelled)
        for name, dataset in given.items()
    }
    raw = {split: samples.read_through() for split, samples in parts.items()}
    _make_alike(parts)
    if len({samples.mode for samples in parts.values() if samples.mode}) > 1:
        for samples in parts.values():
            samples.mode = "RGB"
    names, notes = _class_names(given["train"], raw["train"]) if labelled else (None, ())
    numbered = number_labels(raw, lambda split, row: parts[split].where(row), names)
    tables = {
        split: SampleTable(samples, numbered.labels[split], torch.arange(len(samples)))
        for split, samples in parts.items()
    }
    name = type(given["train"]).__name__
    return SourceSplits(name, tables, numbered.classes, notes, numbered.open_only)


def _make_alike(parts: Mapping[str, "OwnSamples"]) -> None:
    """What holds within a dataset holds over the splits: pixels or floats, channels, size."""
    whole = _Alike()
    for samples in parts.values():
        first = samples.alike
        if first.form is not None and first.unfit is None and first.differ is None:
            whole.compare(first.form, first.where)
    for samples in parts.values():
        samples.unfit, samples.differ = samples.unfit or whole.unfit, samples.differ or whole.differ


@dataclass
class _Alike:
    """What all images of a dataset have in common; the first that has not is a problem."""

    form: tuple[str, tuple[int, ...]] | None = None
    where: str = ""
    unfit: str | None = None
    differ: str | None = None

    def look(self, image: Any, where: str) -> None:
        try:
            pixels = to_pixels(image, where)
        except DataError as error:
            self.unfit = self.unfit or str(error)
            return
        kind = "floats" if pixels.is_floating_point() else "pixels"
        of = f"{len(pixels)} channel{'s' if len(pixels) > 1 else ''}"
        # Those of Pillow are made alike.
        now = "images of Pillow" if is_picture(image) else f"{kind} of {of}"
        self.compare((now, tuple(pixels.shape[1:])), where)

    def compare(self, form: tuple[str, tuple[int, ...]], where: str) -> None:
        """Remember the first form; note where this one is another."""
        now, height_width = form
        if self.form is None:
            self.form, self.where = form, where
            return
        before, size = self.form
        if now != before and self.unfit is None:
            self.unfit = (
                f"{self.where} and {where} do not go together: {before} and {now}; "
                "let the dataset give all of one kind"
            )
        elif height_width != size and self.differ is None:
            self.differ = f"{self.where} is {list(size)}, {where} {list(height_width)}"


class OwnSamples:
    """A dataset of the user's as `(image, label)` pairs.

    After `read_through`: ``unfit`` says why some image is none that can be shown as it is,
    ``differ`` names two that differ in size; a transform may mend both.
    """

    def __init__(
        self, split: str, dataset: Any, image: Key = None, label: Key = None, *,
        labelled: bool = True,
    ) -> None:  # fmt: skip
        if _rows_of(dataset) is None:
            raise DataError(
                f"the {split} dataset is a {type(dataset).__name__}; wanted is a map-style dataset "
                "with __len__ and __getitem__ (put the samples of an iterable one into a list)"
            )
        if not _rows_of(dataset):
            raise DataError(f"the {split} dataset has no rows; every split needs at least one")
        self.split, self.dataset, self.keys = split, dataset, (image, label)
        self.labelled = labelled
        self.mode: str | None = None
        self.unfit: str | None = None
        self.differ: str | None = None
        self.alike = _Alike()
        self._labels: list[Any] = []
        self._mark = ""

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        try:
            sample = self.dataset[row]
        except DataError:
            raise
        except Exception as error:  # the user's code raises what it likes
            said = f"{type(error).__name__}: {error}"
            raise DataError(f"{self.where(row)} cannot be read: {said}") from error
        if not self.labelled:
            image, label = _image(sample, self.keys[0], self.where(row)), NO_LABEL
        else:
            image, label = _pair(sample, self.keys, self.where(row))
        if self.labelled and self._labels and _label(label, self.where(row)) != self._labels[row]:
            raise DataError(
                f"{self.where(row)} had the label {self._labels[row]!r} and has {label!r} when it "
                "is read again; a label must not be drawn at random: let it follow from the row"
            )
        if self.mode is not None and is_picture(image):
            image = plain_picture(image, self.where(row), self.mode)
        return image, label

    def where(self, row: int) -> str:
        """What messages call a row."""
        return f"row {row} of the {self.split} dataset"

    def read_through(self) -> np.ndarray:
        """The label of each row; every sample is read, under fixed seeds, and looked at."""
        alike, labels, modes = _Alike(), [], set()
        kind = type(self.dataset)
        digest = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__} {len(self)}".encode())
        with fixed_seeds():
            for row in range(len(self)):
                image, label = self[row]
                where = self.where(row)
                if self.labelled:
                    labels.append(_label(label, where))
                if not is_image(image):
                    raise DataError(
                        f"{where}: the image is {_said(image)}; wanted is a PIL image, an array "
                        "[H, W, C] or a tensor [C, H, W]"
                    )
                alike.look(image, where)
                if is_picture(image) and alike.unfit is None:
                    modes.add("L" if channels_of(image, where) == 1 else "RGB")
                digest.update(image_bytes(image))
        self.alike, self.unfit, self.differ = alike, alike.unfit, alike.differ
        self._labels = labels
        if modes:
            self.mode = "RGB" if "RGB" in modes else "L"
        self._mark = digest.hexdigest()
        return _as_array(labels) if self.labelled else unlabelled(len(self))

    def fingerprint(self) -> str:
        """Another text whenever an image, its order or what becomes of it changed."""
        return f"{self.mode} {self._mark}"


def _rows_of(dataset: Any) -> int | None:
    """How many samples it has; None where it is none that is read by row."""
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
        return None
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):
        return None


def _as_array(labels: list[Any]) -> np.ndarray:
    """Keep numbers and text apart: numpy would make text of a mixture."""
    return np.array(labels, dtype=object if any(isinstance(v, str) for v in labels) else None)


def _pair(sample: Any, keys: tuple[Key, Key], where: str) -> tuple[Any, Any]:
    """Image and label of a sample."""
    if isinstance(sample, Mapping):
        return (
            _of_mapping(sample, keys[0], IMAGE_NAMES, "image", where),
            _of_mapping(sample, keys[1], LABEL_NAMES, "label", where),
        )
    if not isinstance(sample, Sequence) or isinstance(sample, str | bytes):
        raise DataError(
            f"{where} is {_said(sample)}; wanted is (image, label) or a mapping of both"
        )
    if keys == (None, None) and len(sample) == 2:
        return sample[0], sample[1]
    if None in keys:
        raise DataError(
            f"{where} is {_said(sample)}; wanted is (image, label): say which is which by image= "
            "and label=, in a recipe data: {image: 0, label: 1}"
        )
    image, label = (_of_sequence(sample, key, where) for key in keys)
    return image, label


def _image(sample: Any, key: Key, where: str) -> Any:
    """The image of a sample whose label is not asked for."""
    if is_image(sample):
        return sample
    if isinstance(sample, Mapping):
        return _of_mapping(sample, key, IMAGE_NAMES, "image", where)
    if not isinstance(sample, Sequence) or isinstance(sample, str | bytes):
        raise DataError(
            f"{where} is {_said(sample)}; wanted is an image, (image, ...) or a mapping"
        )
    return _of_sequence(sample, 0 if key is None else key, where)


def _of_mapping(
    sample: Mapping[Any, Any], key: Key, usual: Sequence[str], role: str, where: str
) -> Any:
    found = [name for name in ([key] if key is not None else usual) if name in sample]
    if found:
        return sample[found[0]]
    asked = f"no '{key}'" if key is not None else f"none of {', '.join(usual)}"
    raise DataError(
        f"{where} has the keys {', '.join(map(str, sample))} and {asked}; say which one is the "
        f"{role}: {role}=, in a recipe data: {{{role}: NAME}}"
    )


def _of_sequence(sample: Sequence[Any], key: Key, where: str) -> Any:
    fields = getattr(sample, "_fields", ())
    place = fields.index(key) if key in fields else key
    try:
        at = int(place)  # type: ignore[arg-type]
        if at < 0:
            raise IndexError
        return sample[at]
    except (ValueError, TypeError, IndexError):
        there = f" ({', '.join(fields)})" if fields else f": 0 to {len(sample) - 1}"
        raise DataError(
            f"{where} is {_said(sample)} and has no '{key}'; give a position{there}"
        ) from None


def _label(label: Any, where: str) -> Any:
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


def _class_names(
    dataset: Any, labels: np.ndarray
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The attribute `classes` (as torchvision has it), unless the labels are others by now."""
    names = getattr(dataset, "classes", None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None, ()
    targets = getattr(dataset, "targets", None)
    known = np.asarray(targets) if isinstance(targets, Tensor | np.ndarray | list) else None
    changed = known is not None and not np.array_equal(known, labels)
    if changed or getattr(dataset, "target_transform", None) is not None:
        return None, (
            "the labels that the train dataset gives are not its targets; they were read, and "
            "the names in its attribute classes were left out",
        )
    return (tuple(names) or None), ()
