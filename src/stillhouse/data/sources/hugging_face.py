"""Hugging Face data sets: parquet files in their layout, from the hub, or loaded by the user."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.data.sources.arrow import Piece, found_in_arrow
from stillhouse.data.sources.columns import choose_columns
from stillhouse.data.sources.files import is_hidden
from stillhouse.data.sources.labelled_splits import (
    SPLITS,
    SourceSplits,
    natural,
    split_named,
)
from stillhouse.errors import DataError
from stillhouse.records.hub import asking_hub

_SPLIT = re.compile(r"(train|test|validation|valid|val|dev|eval)(?![a-z])")


def files_of(folder: Path, suffix: str) -> list[Path]:
    """List the files of a suffix in a folder, at every depth but in nothing hidden."""
    found = [
        path
        for path in folder.rglob(f"*{suffix}")
        if path.is_file() and not any(is_hidden(p) for p in path.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda path: natural(path.relative_to(folder).as_posix()))


def split_files(source: Path, suffix: str) -> dict[str, list[Path]]:
    """The files of each split: by the start of the name, or by the folder.

    `train-00000-of-00002.parquet`, `test.parquet`, `validation-*`, `val-*`, `eval-*`, or the same
    as folders, `default/train/0000.parquet`; where no name says a split, all files are `train`.

    Raises:
        DataError: a file that belongs to no split, though others do; no train; several data sets
            side by side.
    """
    if source.is_file():
        return {"train": [source]}
    files = {path.relative_to(source).as_posix(): path for path in files_of(source, suffix)}
    found = splits_by_name(list(files), suffix, str(source))
    return {split: [files[name] for name in names] for split, names in found.items()}


def splits_by_name(names: Sequence[str], suffix: str, source: str) -> dict[str, list[str]]:
    """Which of these files below a folder belong to which split, see `split_files`.

    >>> splits_by_name(["train-0.tar", "eval/0.tar"], ".tar", "photos")
    {'train': ['train-0.tar'], 'validation': ['eval/0.tar']}
    """
    splits: dict[str, list[str]] = {}
    odd, sets = [], set[str]()
    for name in names:
        *folders, base = name.split("/")
        match = _SPLIT.match(base.removesuffix(suffix).lower())
        named = [match[1]] if match else [each for each in folders if split_named(each)][-1:]
        sets.add("/".join(each for each in folders if not split_named(each)))
        if named:
            splits.setdefault(split_named(named[0]) or "", []).append(name)
        else:
            odd.append(name)
    if len(sets) > 1:
        raise DataError(
            f"{source} holds several sets of {suffix} files ({', '.join(sorted(sets)) or 'one'}); "
            "give the folder of one of them"
        )
    if splits and odd:
        raise DataError(
            f"{source}: {', '.join(odd)} belongs to no split, though others do; names must start "
            f"with one of {', '.join(SPLITS)}, or none may"
        )
    if splits and "train" not in splits:
        there = ", ".join(name for several in splits.values() for name in several)
        raise DataError(f"{source} has {there} but no train-*{suffix}; training needs one")
    return splits or {"train": odd}


def read_parquet(
    source: Path, image: str | None, label: str | None, *, labelled: bool = True
) -> SourceSplits:
    """Read parquet files, of the splits that `split_files` finds.

    The encoded images are held in memory as long as they are needed: data larger than memory is
    better given by its hub name, which is read from disk.

    Args:
        source: a folder, or one file.
        image: the image column, where it is not the only one.
        label: the label column, where it is not the only one.
        labelled: whether labels are read at all.

    Raises:
        DataError: a file that is not parquet, columns that are missing or not clear; what
            `split_files` and `found_in_arrow` refuse.
    """
    splits = split_files(source, ".parquet")
    pieces: dict[str, list[Piece]] = {}
    for split in sorted(splits, key=SPLITS.index):
        pieces[split] = []
        for path in splits[split]:
            pieces[split].append(_read(path, image, label, labelled))
            columns = pieces[split][0].columns
            image, label = columns.image, columns.label  # the first file decides for all
    return found_in_arrow(source.stem if source.is_file() else source.resolve().name, pieces)


def _read(path: Path, image: str | None, label: str | None, labelled: bool) -> Piece:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema: Any = pq.read_schema(path)
        columns = choose_columns(schema, path.name, image, label, labelled=labelled)
        wanted = [name for name in (columns.image, columns.label) if name is not None]
        table = pq.read_table(path, columns=wanted, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet ({str(error).splitlines()[0]}); it is damaged or "
            "cut short: download or write it again"
        ) from error
    return Piece(path.name, table, columns)


def read_hub(
    name: str, image: str | None, label: str | None, *, labelled: bool = True
) -> SourceSplits:
    """Load `hf:org/name` with `datasets.load_dataset`; downloaded once, read from its cache.

    The splits train, validation (val, valid, dev, eval) and test are taken, others are left.

    Raises:
        DataError: the hub does not give it, and what `read_loaded` refuses.
    """
    return read_loaded(name, hub_dataset(name), image, label, labelled=labelled)


@asking_hub()
def hub_dataset(name: str) -> Any:
    """What `datasets.load_dataset` gives for a name of the hub. Raises DataError."""
    import datasets

    try:
        return datasets.load_dataset(name)
    except Exception as error:  # network, hub, cache and formats each have their own
        raise DataError(
            f"the Hugging Face hub does not give a data set '{name}' ({_first_line(error)}). "
            "Check the name and the connection, or download its "
            "parquet files and give their folder"
        ) from error


def read_saved(
    folder: Path, image: str | None, label: str | None, *, labelled: bool = True
) -> SourceSplits:
    """Read what `save_to_disk` wrote; from disk, not through memory.

    Raises:
        DataError: it is damaged, and what `read_loaded` refuses.
    """
    name, loaded = folder.resolve().name, saved_dataset(folder)
    return read_loaded(name, loaded, image, label, open_paths=False, labelled=labelled)


def saved_dataset(folder: Path) -> Any:
    """What `datasets.load_from_disk` gives for a folder. Raises DataError."""
    import datasets

    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:  # files, formats and features each have their own
        raise DataError(
            f"{folder} cannot be read as a data set that was saved by save_to_disk "
            f"({_first_line(error)}); save it again"
        ) from error


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()
    )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def is_table(dataset: Any) -> bool:
    """Whether it is a dataset of Hugging Face whose table can be read as it is.

    One with a transform of its own (`set_transform`) is read sample by sample, as others are.
    """
    if not hasattr(dataset, "with_format"):
        return False
    form = getattr(dataset, "format", None)
    return not (isinstance(form, Mapping) and form.get("type") == "custom")


def read_loaded(
    name: str,
    loaded: Any,
    image: str | None,
    label: str | None,
    *,
    open_paths: bool = True,
    labelled: bool = True,
) -> SourceSplits:
    """Read a `Dataset`, a `DatasetDict` or a mapping of such; memory-mapped tables are not copied.

    Args:
        name: of the data.
        loaded: of `datasets`.
        image, label: the columns, where they are not the only ones.
        open_paths: as of `found_in_arrow`.
        labelled: whether labels are read at all.

    Raises:
        DataError: no split train, columns that are missing or not clear, and what
            `found_in_arrow` refuses.
    """
    splits, notes = named_splits(name, loaded)
    pieces = {}
    for split, table in splits.items():
        where = f"{name} {split}"
        columns = choose_columns(table.schema, where, image, label, labelled=labelled)
        image, label = columns.image, columns.label
        pieces[split] = [Piece(where, table, columns)]
    return found_in_arrow(name, pieces, open_paths=open_paths, notes=notes)


def named_splits(name: str, loaded: Any) -> tuple[dict[str, Any], list[str]]:
    """The Arrow tables of a `Dataset`, a `DatasetDict` or a mapping of such, by split.

    Returns:
        the tables, train first, and what was left out, for people.

    Raises:
        DataError: no split train, one twice, or a stream.
    """
    given = dict(loaded) if isinstance(loaded, Mapping) else {"train": loaded}
    if any("Iterable" in type(dataset).__name__ for dataset in given.values()):
        raise DataError(f"{name} is a stream, whose rows have no order to split; load it in full")
    splits: dict[str, Any] = {}
    others = []
    for key, dataset in given.items():
        split = split_named(str(key))
        if split is None:
            others.append(f"{key} ({len(dataset):,} rows)")
        elif split in splits:
            raise DataError(f"{name}: {key} and another split are both {split}; leave one out")
        else:
            splits[split] = dataset
    if "train" not in splits:
        raise DataError(f"{name} has no split 'train'; it has: {', '.join(map(str, given))}")
    notes = [f"{name}: left out are the splits {', '.join(others)}"] if others else []
    tables = {s: splits[s].with_format("arrow")[:] for s in SPLITS if s in splits}
    return tables, notes
