"""From what the user named to the source that reads it."""

import re
from pathlib import Path
from typing import Any

from stillhouse.data.sources.arrays import read_arrays, read_digits
from stillhouse.data.sources.folder import read_folder
from stillhouse.data.sources.hugging_face import parquet_files, read_hub, read_loaded, read_parquet
from stillhouse.data.sources.labelled_splits import SourceSplits, natural
from stillhouse.data.sources.synthesis import is_synthesis, read_synthesis
from stillhouse.data.sources.torch_datasets import read_datasets
from stillhouse.errors import DataError, nearest

SOURCES = (
    ("digits", "the 1,797 digits of scikit-learn: 8 x 8, grey, nothing to download"),
    ("<folder of .parquet>", "Hugging Face layout: train-*.parquet, test-*.parquet, validation-*"),
    ("<folder of class folders>", "<class>/<image>, or train/<class>/<image> and test/, val/"),
    (
        "<file>.npz",
        "train_images, train_labels, test_images, test_labels; or x_train, y_train, ...",
    ),
    ("<folder of a synthesis>", "what synthesis made: images of floats, labelled by the teacher"),
    ("<org>/<name>", "a data set of the Hugging Face hub, downloaded once"),
    ("Dataset", "from Python: a dataset, (train, test) or (train, validation, test)"),
)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def source_names() -> tuple[tuple[str, str], ...]:
    """List the forms that a source can have, each with one line.

    >>> source_names()[0][0]
    'digits'
    """
    return SOURCES


def find(source: Any, image: str | None, label: str | None, allow_download: bool) -> SourceSplits:
    """Recognise and read a source.

    Raises:
        DataError: nothing of this name, or what the source refuses.
    """
    if isinstance(source, str | Path):
        return _find_named(source, image, label, allow_download)
    if hasattr(source, "with_format"):  # a Hugging Face dataset, without importing datasets
        return read_loaded(type(source).__name__, source, image, label)
    _refuse_columns(f"a {type(source).__name__}", image, label)
    return read_datasets(source if isinstance(source, tuple) else (source,))


def _find_named(
    source: str | Path, image: str | None, label: str | None, allow_download: bool
) -> SourceSplits:
    path = Path(source).expanduser()
    if source == "digits":
        _refuse_columns("digits", image, label)
        return read_digits()
    if not str(source) or not path.exists():
        if isinstance(source, Path) or not _is_hub_name(source):
            beside = [other.name for other in path.parent.glob("*")]
            close = nearest(path.name, ["digits", *sorted(beside, key=natural)])
            raise DataError(f"there is no '{source}'; {close}.{_forms()}")
        if not allow_download:
            raise DataError(
                f"there is no folder '{source}' here, and a download from the Hugging Face hub is "
                f"not allowed; allow it or give a folder.{_forms()}"
            )
        return read_hub(source, image, label)
    if path.suffix == ".parquet" or (path.is_dir() and parquet_files(path)):
        return read_parquet(path, image, label)
    _refuse_columns(str(source), image, label)
    if is_synthesis(path):
        return read_synthesis(path)
    if path.is_dir():
        return read_folder(path)
    if path.suffix == ".npz":
        return read_arrays(path)
    raise DataError(f"the file {path} is neither .parquet nor .npz.{_forms()}")


def _is_hub_name(source: str) -> bool:
    return bool(_HUB_NAME.fullmatch(source)) and not source.endswith((".npz", ".parquet"))


def _refuse_columns(what: str, image: str | None, label: str | None) -> None:
    if image is not None or label is not None:
        raise DataError(f"{what} has no columns; leave out image= and label= (data.image, .label)")


def _forms() -> str:
    return " The sources are:" + "".join(f"\n  {form}: {line}" for form, line in SOURCES)
