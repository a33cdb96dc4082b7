"""Hugging Face data sets: parquet files in their layout, from the hub, or loaded by the user."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.data.sources.arrow import Piece, found_in_arrow
from stillhouse.data.sources.columns import choose_columns
from stillhouse.data.sources.labelled_splits import SPLITS, SourceSplits, natural
from stillhouse.errors import DataError

OTHER_NAMES = {"val": "validation", "valid": "validation", "dev": "validation"}
_SPLIT = re.compile(r"(train|test|validation|valid|val|dev)(?![a-z])")


def parquet_files(folder: Path) -> list[Path]:
    """List the parquet files of a folder, or of its folder `data`, in natural order."""
    for place in (folder, folder / "data"):
        files = sorted(place.glob("*.parquet"), key=lambda path: natural(path.name))
        if files:
            return files
    return []


def read_parquet(source: Path, image: str | None, label: str | None) -> SourceSplits:
    """Read parquet files; the split is the start of the file's name.

    `train-00000-of-00002.parquet`, `test.parquet`, `validation-*`, `val-*`; where no name starts
    with a split, all files together are `train` (and a test split is carved later). The encoded
    images are held in memory as long as they are needed: data larger than memory is better given by
    its hub name, which is read from disk.

    Args:
        source: a folder, or one file.
        image: the image column, where it is not the only one.
        label: the label column, where it is not the only one.

    Raises:
        DataError: a file that is not parquet or belongs to no split; no train; columns that are
            missing or not clear; and what `found_in_arrow` refuses.
    """
    files = [source] if source.is_file() else parquet_files(source)
    splits = {} if source.is_file() else _by_split(files)
    splits = splits or {"train": files}
    if "train" not in splits:
        raise DataError(
            f"{source} has {', '.join(path.name for path in files)} but no train-*.parquet; "
            "training needs one"
        )
    pieces: dict[str, list[Piece]] = {}
    for split in sorted(splits, key=SPLITS.index):
        pieces[split] = []
        for path in splits[split]:
            pieces[split].append(_read(path, image, label))
            columns = pieces[split][0].columns
            image, label = columns.image, columns.label  # the first file decides for all
    return found_in_arrow(source.stem if source.is_file() else source.resolve().name, pieces)


def _by_split(files: list[Path]) -> dict[str, list[Path]]:
    splits: dict[str, list[Path]] = {}
    odd = []
    for path in files:
        match = _SPLIT.match(path.stem.lower())
        if match:
            split = OTHER_NAMES.get(match[1], match[1])
            splits.setdefault(split, []).append(path)
        else:
            odd.append(path.name)
    if splits and odd:
        raise DataError(
            f"{files[0].parent}: {', '.join(odd)} belongs to no split, though others do; names "
            f"must start with one of {', '.join(SPLITS)}, or none may"
        )
    return splits


def _read(path: Path, image: str | None, label: str | None) -> Piece:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema: Any = pq.read_schema(path)
        columns = choose_columns(schema, path.name, image, label)
        table = pq.read_table(path, columns=[columns.image, columns.label], partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet ({str(error).splitlines()[0]}); it is damaged or "
            "cut short: download or write it again"
        ) from error
    return Piece(path.name, table, columns)


def read_hub(name: str, image: str | None, label: str | None) -> SourceSplits:
    """Load `org/name` with `datasets.load_dataset`; it is downloaded once and read from its cache.

    The splits train, validation (val, valid, dev) and test are taken, others are left.

    Raises:
        DataError: the hub does not give it, and what `read_loaded` refuses.
    """
    import datasets

    try:
        loaded = datasets.load_dataset(name)
    except Exception as error:  # network, hub, cache and formats each have their own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"no folder or file '{name}' exists here, and the Hugging Face hub does not give a "
            f"data set of this name ({reason}). Check the name and the connection, or download its "
            "parquet files and give their folder"
        ) from error
    return read_loaded(name, loaded, image, label)


def read_loaded(name: str, loaded: Any, image: str | None, label: str | None) -> SourceSplits:
    """Read a `datasets.Dataset` or `DatasetDict`; its memory-mapped tables are not copied.

    Raises:
        DataError: no split train, columns that are missing or not clear, and what
            `found_in_arrow` refuses.
    """
    if "Iterable" in type(loaded).__name__:
        raise DataError(f"{name} is a stream, whose rows have no order to split; load it in full")
    given = dict(loaded) if isinstance(loaded, Mapping) else {"train": loaded}
    splits = {OTHER_NAMES.get(split, split): dataset for split, dataset in given.items()}
    if "train" not in splits:
        raise DataError(f"{name} has no split 'train'; it has: {', '.join(given)}")
    pieces = {}
    for split in SPLITS:
        if split in splits:
            table = splits[split].with_format("arrow")[:]
            columns = choose_columns(table.schema, f"{name} {split}", image, label)
            image, label = columns.image, columns.label
            pieces[split] = [Piece(f"{name} {split}", table, columns)]
    return found_in_arrow(name, pieces, open_paths=True)
