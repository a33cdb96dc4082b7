"""Texts and their labels out of tables: parquet, CSV, JSON lines, and datasets of Hugging Face."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.data.sources.columns import LABEL_NAMES, class_names, is_text
from stillhouse.data.sources.hugging_face import files_of, is_saved, split_files
from stillhouse.data.sources.known import KNOWN, is_known, of_hub
from stillhouse.data.sources.labelled_splits import (
    SPLITS,
    SourceSplits,
    number_labels,
    split_named,
    unlabelled,
)
from stillhouse.data.text.table import TextTable
from stillhouse.errors import DataError, nearest
from stillhouse.faults import first_line
from stillhouse.records.places import located, looked_in

TEXT_NAMES = ("text", "sentence", "content", "review", "document", "question")
"""What a column of texts is called, in this order of preference."""
LINES = (".jsonl", ".ndjson", ".json")
TABLES = {".csv": ",", ".tsv": "\t"}
FILES = (".parquet", *TABLES, *LINES)
FORMS = "a folder or file of .parquet, .csv, .tsv or .jsonl, a folder of save_to_disk, or datasets"


@dataclass(frozen=True)
class Part:
    """One file, or one split of a dataset."""

    file: str
    table: Any  # pyarrow.Table
    rows: Sequence[int] | None = None
    """Where its rows are in the file; None: all of it."""
    path: Path | None = None
    """The file, if its columns can be read as another type."""

    def row(self, at: int) -> int:
        """Where a row is in the file."""
        return at if self.rows is None else self.rows[at]

    def column(self, name: str) -> list[Any]:
        """Its values."""
        found: list[Any] = self.table.column(name).to_pylist()
        return found


def read_texts(
    source: Any,
    text: str | None,
    label: str | None,
    *,
    labelled: bool = True,
    allow_download: bool = True,
) -> SourceSplits:
    """Read texts, of the splits that file names, folders or a column ``split`` say.

    Args:
        source: a path, a dataset of Hugging Face, or a mapping of such by split.
        text: the column of texts; else the one called as in `TEXT_NAMES`, or the only one of text.
        label: the column of labels; else the first called as in `LABEL_NAMES`.
        labelled: whether labels are read at all.
        allow_download: whether a public data set may be fetched by its name.

    Raises:
        DataError: nothing there, columns that are missing or not clear, texts that are missing or
            empty, and what `number_labels` refuses.
    """
    name, splits, notes = _parts(source, allow_download)
    if "train" not in splits:
        raise DataError(f"{name} has no split 'train'; it has: {', '.join(splits)}")
    chosen: tuple[str, str | None] | None = None
    texts: dict[str, list[str]] = {}
    raw: dict[str, np.ndarray] = {}
    places: dict[str, list[tuple[str, int]]] = {}
    classes: tuple[str, ...] | None = None
    for split in (each for each in SPLITS if each in splits):
        texts[split], places[split], found = [], [], []
        for part in splits[split]:
            part = _as_text(part, chosen[0] if chosen else text)
            chosen = _columns(part, *(chosen or (text, label)), labelled=labelled)
            texts[split] += _texts(part, chosen[0])
            places[split] += [(part.file, part.row(at)) for at in range(part.table.num_rows)]
            if chosen[1] is None:
                found.append(unlabelled(part.table.num_rows))
                continue
            found.append(_labels(part, chosen[1]))
            named = class_names(part.table.schema, chosen[1], part.file)
            if named is not None and classes is not None and named != classes:
                raise DataError(f"{part.file} names the classes differently than files before it")
            classes = classes or named
        raw[split] = np.concatenate(found)

    def where(split: str, row: int) -> str:
        file, at = places[split][row]
        return f"{file}, row {at}"

    numbered = number_labels(raw, where, classes)
    parts = {
        split: TextTable(numbered.labels[split], np.array([*texts[split], None], dtype=object)[:-1])
        for split in texts
    }
    return SourceSplits(name, parts, numbered.classes, tuple(notes), numbered.open_only)


def texts_of(path: Path, text: str | None = None) -> list[str]:
    """The texts of one file alone, whatever else it holds: of a table its column, else its lines.

    Args:
        path: .parquet, .csv, .tsv or JSON lines; of any other file each line that is not empty.
        text: the column, as of `read_texts`.

    Raises:
        DataError: it cannot be read, has no such column, or a text of it is missing or empty.
    """
    if path.suffix.lower() in FILES:
        if not path.is_file():
            raise DataError(f"there is no file '{path}'")
        part = _as_text(_read(path), text)
        return _texts(part, _columns(part, text, None, labelled=False)[0])
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({first_line(error)})") from None
    return [line.strip() for line in lines if line.strip()]


def _parts(source: Any, allow_download: bool) -> tuple[str, dict[str, list[Part]], list[str]]:
    if not isinstance(source, str | Path):
        return _loaded("the dataset", source)
    if is_known(source):
        name = str(source)
        found, splits, notes = _loaded(name, of_hub(name, allow_download=allow_download))
        return found, splits, [*notes, *filter(None, [KNOWN[name].note])]
    path = located(source)
    if not path.exists():
        beside = [other.name for other in path.parent.glob("*")]
        close = f"; {nearest(path.name, beside)}" if beside else ""
        raise DataError(f"there is no '{source}'{close}. Looked for in {looked_in()}; texts are "
                        f"read of {FORMS}")  # fmt: skip
    if path.is_dir() and is_saved(path):
        import datasets

        try:
            loaded = datasets.load_from_disk(str(path))
        except Exception as error:  # files, formats and features each have their own
            raise DataError(f"{path} cannot be read ({first_line(error)}); save it again") from None
        return _loaded(path.name, loaded)
    for suffix in FILES:
        if (path.is_file() and path.suffix.lower() == suffix) or (
            path.is_dir() and files_of(path, suffix)
        ):
            files = split_files(path, suffix)
            _only(path, suffix)
            read = {split: [_read(each) for each in paths] for split, paths in files.items()}
            name = path.stem if path.is_file() else path.resolve().name
            alone = list(read) == ["train"] and len(read["train"]) == 1
            return name, _by_column(read) if alone else read, []
    raise DataError(f"{path} holds no texts that are read: wanted is {FORMS}")


def _only(path: Path, suffix: str) -> None:
    """Raises DataError where a folder has files of splits in another form, too."""
    for other in FILES if path.is_dir() else ():
        more = [each for each in files_of(path, other) if other != suffix
                and split_named(re.split(r"[-_.]", each.name)[0])]  # fmt: skip
        if more:
            raise DataError(
                f"{path} has files of {suffix} and, for a split, {more[0].name}; give all splits "
                "in one form, or take it out"
            )


def _as_text(part: Part, text: str | None) -> Part:
    """The same where its column of texts was taken for numbers or dates, which files may look like.

    Raises:
        DataError: the column is not UTF-8.
    """
    names = part.table.column_names
    usual = next((name for name in TEXT_NAMES[:1] if name in names), None)
    wanted = text if text is not None else usual
    if part.path is None or names.count(wanted) != 1 or not part.table.num_rows:
        return part
    kind = part.table.schema.field(wanted).type
    if is_text(kind) or str(kind) == "null":
        return part
    whole = _read(part.path, wanted)
    if part.rows is None:
        return whole
    return Part(part.file, whole.table.take(part.rows), part.rows)


def _read(path: Path, text: str | None = None) -> Part:
    """A file, with a column that is text whatever it looks like."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv, json

    suffix = path.suffix.lower()
    table: Any
    try:
        if suffix == ".parquet":
            table = pq.read_table(path, partitioning=None)
        elif suffix in TABLES:
            parse = csv.ParseOptions(delimiter=TABLES[suffix], newlines_in_values=True)
            # A text may be the word NA or null: only what stands nowhere is missing.
            kinds = {} if text is None else {text: pa.string()}
            convert = csv.ConvertOptions(
                null_values=[""], strings_can_be_null=True, column_types=kinds
            )
            table = csv.read_csv(path, parse_options=parse, convert_options=convert)
        else:
            schema = None if text is None else pa.schema([(text, pa.string())])
            table = json.read_json(path, parse_options=json.ParseOptions(explicit_schema=schema))
    except (pa.ArrowException, OSError) as error:
        wanted = {".parquet": "parquet", **dict.fromkeys(TABLES, "a table with a header")}
        said = wanted.get(suffix, "JSON lines, one object a line")
        raise DataError(f"{path} cannot be read as {said} ({first_line(error)})") from None
    if not table.num_rows:
        raise DataError(f"{path} has no rows")
    return Part(path.name, table, path=None if suffix == ".parquet" or text is not None else path)


def _by_column(read: dict[str, list[Part]]) -> dict[str, list[Part]]:
    """The rows of one file under the splits that its column ``split`` says, if it has one."""
    (part,) = read["train"]
    if "split" not in part.table.column_names:
        return read
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(part.column("split")):
        split = split_named(str(name))
        if split is None:
            raise DataError(
                f"{part.file}, row {row}: the split is {'missing' if name is None else repr(name)}"
                f"; wanted is one of {', '.join(SPLITS)}"
            )
        rows.setdefault(split, []).append(row)
    return {
        split: [Part(part.file, part.table.take(at), at, part.path)] for split, at in rows.items()
    }


def _loaded(name: str, loaded: Any) -> tuple[str, dict[str, list[Part]], list[str]]:
    given = dict(loaded) if isinstance(loaded, Mapping) else {"train": loaded}
    splits: dict[str, list[Part]] = {}
    left = []
    for key, dataset in given.items():
        split = split_named(str(key))
        if not hasattr(dataset, "with_format") or "Iterable" in type(dataset).__name__:
            kind = type(dataset).__name__
            raise DataError(f"a {kind} was given as texts; wanted is {FORMS}, loaded in full")
        if split is None:
            left.append(f"{key} ({len(dataset):,} rows)")
        elif split in splits:
            raise DataError(f"{name}: {key} and another split are both {split}; leave one out")
        else:
            splits[split] = [Part(f"{name} {split}", dataset.with_format("arrow")[:])]
    return name, splits, [f"{name}: left out are the splits {', '.join(left)}"] if left else []


def _columns(
    part: Part, text: str | None, label: str | None, *, labelled: bool
) -> tuple[str, str | None]:
    import pyarrow as pa

    names = part.table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{part.file} has the column '{twice[0]}' twice; rename one of them")
    types = dict(zip(names, part.table.schema.types, strict=True))
    for role, name in (("text", text), ("label", label)):
        if name is not None and name not in types:
            said = f"{part.file} has no column '{name}' ({role}=, recipe key data.{role})"
            raise DataError(f"{said}; {nearest(name, types)}")
    if text is not None and text == label:
        raise DataError(f"{part.file}: column '{text}' is named for texts and for labels; they are "
                        "two columns (data.text, data.label)")  # fmt: skip
    texts = [n for n, kind in types.items() if is_text(kind) and n not in (label, "split")]
    if text is not None and text not in texts:
        raise DataError(f"{part.file}: column '{text}' is {types[text]}; wanted is text")
    usual = [name for name in TEXT_NAMES if name in texts][:1]
    only = [name for name in texts if name not in LABEL_NAMES]
    chosen = _one("text", text, usual or only, types, part.file)
    if not labelled:
        return chosen, None
    fits = [n for n, k in types.items() if (pa.types.is_integer(k) or is_text(k)) and n != chosen]
    usual = [name for name in LABEL_NAMES if name in types and name != chosen][:1]
    others = [name for name in fits if name != "split"]
    return chosen, _one("label", label, usual or others, types, part.file)


def _one(
    role: str, named: str | None, found: Sequence[str], types: Mapping[str, Any], file: str
) -> str:
    if named is not None:
        return named
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{name} ({kind})" for name, kind in types.items())
    count = f"{len(found)} columns ({', '.join(found)})" if found else "no column"
    raise DataError(
        f"{file}: {count} could hold the {role}s; say which (recipe key data.{role}). The columns "
        f"are: {there}"
    )


def _texts(part: Part, name: str) -> list[str]:
    values = part.column(name)
    for what, bad in (
        ("missing", [row for row, value in enumerate(values) if value is None]),
        ("empty", [row for row, value in enumerate(values) if value is not None
                   and not value.strip()]),
    ):  # fmt: skip
        if bad:
            more = f", as of {len(bad):,} rows in all" if len(bad) > 1 else ""
            raise DataError(
                f"{part.file}, row {part.row(bad[0])}: the text ({name}) is {what}{more}; fill it "
                "or drop the row"
            )
    return values


def _labels(part: Part, name: str) -> np.ndarray:
    import pyarrow as pa

    column = part.table.column(name)
    if column.null_count:
        row = part.row(part.column(name).index(None))
        raise DataError(f"{part.file}, row {row}: the label is missing; fill it or drop the row")
    if is_text(column.type):
        return np.array(column.cast(pa.string()).to_pylist(), dtype=object)
    values: np.ndarray = column.to_numpy()
    if values.dtype.kind not in "iu":
        raise DataError(
            f"{part.file}: the labels ({name}) are {column.type}; wanted are whole numbers or "
            "names of classes"
        )
    return values
