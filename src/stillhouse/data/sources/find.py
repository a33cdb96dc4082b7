"""From what the user named to the source that reads it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from stillhouse.data.sources.archives import ArchiveSettings
from stillhouse.data.sources.arrays import read_arrays, read_digits
from stillhouse.data.sources.folder import read_folder, read_images
from stillhouse.data.sources.hugging_face import (
    files_of,
    is_saved,
    is_table,
    read_hub,
    read_loaded,
    read_parquet,
    read_saved,
)
from stillhouse.data.sources.known import KNOWN, is_known, of_hub
from stillhouse.data.sources.labelled_splits import (
    SPLITS,
    SourceSplits,
    natural,
    refuse_one_class,
    split_named,
)
from stillhouse.data.sources.listing import SUFFIXES as LISTINGS
from stillhouse.data.sources.listing import read_listing
from stillhouse.data.sources.synthesis import is_synthesis, read_synthesis
from stillhouse.data.sources.torch_datasets import read_datasets
from stillhouse.data.sources.webdataset import read_archives
from stillhouse.errors import DataError, nearest
from stillhouse.records.places import located, looked_in
from stillhouse.records.remote import Location, Remote, is_address
from stillhouse.records.remote import located as at_address

SOURCES = (
    ("digits", "the 1,797 digits of scikit-learn: 8 x 8, grey, nothing to download"),
    ("<folder of .parquet>", "Hugging Face layout: train-*.parquet or train/*.parquet, test, ..."),
    ("<folder of save_to_disk>", "what datasets wrote"),
    ("<folder of .tar>", "WebDataset: train-*.tar with 0001.jpg, 0001.cls, ..."),
    ("s3://..., gs://...", "the same archives on an object store, at any address of fsspec"),
    ("<folder of class folders>", "<class>/<image>, or train/<class>/<image> and test/, val/"),
    ("<folder of images>", "for a task without labels: images at any depth, maybe below train/"),
    (
        "<file>.npz",
        "train_images, train_labels, test_images, test_labels; or x_train, y_train, ...",
    ),
    ("<file>.csv, .tsv", "columns path and label, maybe split; paths are relative to the file"),
    ("<folder of a synthesis>", "what synthesis made: images of floats, labelled by the teacher"),
    (
        "<name>",
        "a folder of that name, also in $STILLHOUSE_DATA or ../shared/data; of cifar10, cifar100, "
        "mnist, fashion_mnist else the Hugging Face hub or torchvision",
    ),
    ("hf:<org>/<name>", "a data set of the Hugging Face hub, downloaded once"),
    ("Dataset", "from Python: a dataset, (train, test) or (train, validation, test), or by split"),
)
HUB = "hf:"
"""What a name of the hub starts with: without it, everything is a path."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def source_names() -> tuple[tuple[str, str], ...]:
    """List the forms that a source can have, each with one line.

    >>> source_names()[0][0]
    'digits'
    """
    return SOURCES


def find(
    source: Any,
    image: str | int | None,
    label: str | int | None,
    allow_download: bool,
    *,
    labelled: bool = True,
    open_set: bool = False,
    archives: ArchiveSettings | None = None,
) -> SourceSplits:
    """Recognise and read a source; without its labels where it is not to be ``labelled``.

    Args:
        source, image, label, allow_download, labelled, archives: see `stillhouse.data.load.load`.
        open_set: whether test may have classes that train has none of.

    Raises:
        DataError: nothing of this name, what the source refuses, or (where it is no open set) one
            class only, or one that train has no row of.
    """
    place = _archives(source, archives or ArchiveSettings())
    if place is not None:
        settings = archives or ArchiveSettings()
        found = read_archives(
            place, _name(image), _name(label), labelled=labelled, settings=settings
        )
    elif archives is not None:
        raise DataError(
            f"archives (data.archives) say how .tar archives are held and shuffled, and "
            f"{_called(source)} are none; leave it out"
        )
    else:
        found = _read(source, image, label, allow_download, labelled)
    if open_set:
        return found
    refuse_one_class(found)
    if found.open_only is not None:
        raise DataError(found.open_only)
    return found


def _archives(source: Any, settings: ArchiveSettings) -> Location | None:
    """Where the archives are, if it is archives that the source names."""
    if not isinstance(source, str | Path) or source == "digits" or is_known(source):
        return None
    text = str(source)
    if is_address(text) and not text.startswith(HUB):
        place = at_address(text, settings.copies)
        if isinstance(place, Remote):
            return place
        path = place
    else:
        path = located(source)
    is_some = text and path.exists() and not (path.is_dir() and is_saved(path))
    return path if is_some and not is_synthesis(path) and _are_archives(path) else None


def _called(source: Any) -> str:
    return f"the data '{source}'" if isinstance(source, str | Path) else "these data"


def _are_archives(path: Path) -> bool:
    return not _are_files(path, ".parquet") and _are_files(path, ".tar")


def _read(
    source: Any,
    image: str | int | None,
    label: str | int | None,
    allow_download: bool,
    labelled: bool,
) -> SourceSplits:
    if isinstance(source, str | Path):
        found = _find_named(source, _name(image), _name(label), allow_download, labelled)
        return found if labelled else found.without_labels()
    datasets = _by_split(source)
    if all(is_table(dataset) for dataset in datasets.values()):
        name = type(source if is_table(source) else datasets["train"]).__name__
        loaded = source if is_table(source) else datasets
        return read_loaded(name, loaded, _name(image), _name(label), labelled=labelled)
    return read_datasets(datasets, image, label, labelled=labelled)


def _by_split(source: Any) -> dict[str, Any]:
    """The datasets that were given from Python, each under its split."""
    if isinstance(source, Mapping) and not is_table(source):
        named = {split_named(str(key)): dataset for key, dataset in source.items()}
        if None in named or "train" not in named or len(named) < len(source):
            raise DataError(
                f"a mapping of datasets was given with {', '.join(map(str, source))}; wanted are "
                f"'train' and maybe {' and '.join(SPLITS[1:])}"
            )
        return {split: named[split] for split in SPLITS if split in named}
    several = isinstance(source, list) and source and all(
        isinstance(each, Dataset) for each in source)  # fmt: skip
    given = tuple(source) if several or isinstance(source, tuple) else (source,)
    if all(isinstance(each, np.ndarray | Tensor) for each in given):
        raise DataError(
            "arrays or tensors were given, of which nothing says what they are; give a dataset of "
            "(image, label): list(zip(images, labels)), or TensorDataset(images, labels)"
        )
    splits = {1: ("train",), 2: ("train", "test"), 3: ("train", "validation", "test")}
    if len(given) not in splits:
        raise DataError(
            f"{len(given)} datasets were given; wanted is one, (train, test) or (train, "
            "validation, test)"
        )
    return dict(zip(splits[len(given)], given, strict=True))


def _name(key: str | int | None) -> str | None:
    return None if key is None else str(key)


def _find_named(
    source: str | Path,
    image: str | None,
    label: str | None,
    allow_download: bool,
    labelled: bool,
) -> SourceSplits:
    if source == "digits":
        _refuse_columns("digits", image, label)
        return read_digits()
    if isinstance(source, str) and source.startswith(HUB):
        return _of_hub(source, image, label, allow_download, labelled)
    if is_known(source):
        return _known(str(source), image, label, allow_download, labelled)
    path = Path(str(source).removeprefix("file://")) if _is_file(source) else located(source)
    if not str(source) or not path.exists():
        raise DataError(_nothing_there(str(source), path))
    if path.is_dir() and is_saved(path):
        return read_saved(path, image, label, labelled=labelled)
    if is_synthesis(path):
        _refuse_columns(str(source), image, label)
        return read_synthesis(path)
    if _are_files(path, ".parquet"):
        return read_parquet(path, image, label, labelled=labelled)
    if path.is_file() and path.suffix.lower() in LISTINGS:
        return read_listing(path, image, label, labelled=labelled)
    _refuse_columns(str(source), image, label)
    if path.is_dir():
        return read_folder(path) if labelled else read_images(path)
    if path.suffix == ".npz" and path.is_file():
        return read_arrays(path, labelled=labelled)
    kind = "file" if path.is_file() else "pipe, socket or device"
    raise DataError(f"the {kind} {path} is none of .parquet, .tar, .csv, .tsv and .npz.{_forms()}")


def _is_file(source: str | Path) -> bool:
    return str(source).startswith("file://")


def _are_files(path: Path, suffix: str) -> bool:
    """Whether it is a file of this kind, or a folder of such."""
    return (path.is_file() and path.suffix == suffix) or (
        path.is_dir() and bool(files_of(path, suffix))
    )


def _known(
    name: str, image: str | None, label: str | None, allow: bool, labelled: bool
) -> SourceSplits:
    found = of_hub(name, allow_download=allow)
    if isinstance(found, tuple):  # of torchvision
        _refuse_columns(f"{name} of torchvision", image, label)
        return replace(read_datasets(_by_split(found), None, None, labelled=labelled), name=name)
    return read_loaded(name, found, image, label, labelled=labelled)


def _of_hub(
    source: str, image: str | None, label: str | None, allow: bool, labelled: bool
) -> SourceSplits:
    name = source.removeprefix(HUB)
    if not _HUB_NAME.fullmatch(name):
        raise DataError(f"'{source}' names no data set of the Hugging Face hub: hf:org/name")
    if not allow:
        raise DataError(
            f"'{source}' is a data set of the Hugging Face hub, and a download is not allowed; "
            f"allow it or give a folder.{_forms()}"
        )
    return read_hub(name, image, label, labelled=labelled)


def _nothing_there(source: str, path: Path) -> str:
    """Nothing is asked of a network for a path that is wrong."""
    beside = [other.name for other in path.parent.glob("*")]
    known = ["digits", *KNOWN, *sorted(beside, key=natural)]
    close = nearest(path.name, known)
    said = f"there is no '{source}'; {close}"
    if not path.is_absolute() and not str(source).startswith("."):
        said += f". Looked for in {looked_in()}"
    if _HUB_NAME.fullmatch(source):
        said += f". A data set of the Hugging Face hub is written {HUB}{source}"
    return f"{said}.{_forms()}"


def _refuse_columns(what: str, image: str | None, label: str | None) -> None:
    if image is not None or label is not None:
        raise DataError(f"{what} has no columns; leave out image= and label= (data.image, .label)")


def _forms() -> str:
    return " The sources are:" + "".join(f"\n  {form}: {line}" for form, line in SOURCES)
