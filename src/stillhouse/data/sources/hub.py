"""A data set of the Hugging Face hub, or a Hugging Face dataset that the user has loaded."""

from collections.abc import Mapping
from typing import Any

from stillhouse.data.sources.arrow import Piece, found_in_arrow
from stillhouse.data.sources.columns import choose_columns
from stillhouse.data.sources.parquet import OTHER_NAMES
from stillhouse.data.sources.splits import SPLITS, SourceSplits
from stillhouse.errors import DataError


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
