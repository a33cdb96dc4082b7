"""Images and labels out of Arrow tables: of parquet files and of Hugging Face datasets."""

import hashlib
import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, BinaryIO

import numpy as np

from stillhouse.data.sources.columns import Columns, has_bytes, is_text
from stillhouse.data.sources.files import open_regular
from stillhouse.data.sources.labelled_splits import SourceSplits, number_labels, unlabelled
from stillhouse.data.sources.pictures import picture_tables
from stillhouse.errors import DataError
from stillhouse.records.file_hashes import file_hashes


@dataclass(frozen=True)
class Piece:
    """One file, or one split of a Hugging Face dataset."""

    file: str
    table: Any  # pyarrow.Table
    columns: Columns


def found_in_arrow(
    name: str,
    splits: Mapping[str, Sequence[Piece]],
    *,
    open_paths: bool = False,
    notes: Sequence[str] = (),
) -> SourceSplits:
    """Number the labels and decode the images of these splits.

    Args:
        name: the name of the data.
        splits: the pieces of each split, in order; `train` must be there.
        open_paths: whether a row without bytes may name a file to open. Only for tables that this
            machine wrote: a downloaded file could name any file here.
        notes: what was left out before, for people.

    Raises:
        DataError: pieces that name the classes differently, empty cells, damaged images, and what
            `number_labels` refuses.
    """
    images = {split: ArrowImages(pieces, open_paths) for split, pieces in splits.items()}
    raw = {split: _labels(pieces) for split, pieces in splits.items()}
    everything = [piece for pieces in splits.values() for piece in pieces]
    numbered = number_labels(
        raw, lambda split, row: images[split].where(row), _class_names(everything)
    )
    tables = picture_tables(images, numbered.labels)
    return SourceSplits(name, tables, numbered.classes, tuple(notes), numbered.open_only, images)


class ArrowImages:
    """The encoded images of one split, over all its pieces."""

    def __init__(self, pieces: Sequence[Piece], open_paths: bool) -> None:
        self.files = [piece.file for piece in pieces]
        self.ends = list(accumulate(len(piece.table) for piece in pieces))
        self.bytes, self.paths = zip(*(_bytes_and_paths(piece) for piece in pieces), strict=True)
        self.open_paths = open_paths

    def __len__(self) -> int:
        return self.ends[-1]

    def where(self, row: int) -> str:
        """Name the file and the row in it, counted from 0."""
        piece, local = self._locate(row)
        return f"{self.files[piece]}, row {local}"

    def name(self, row: int) -> str | None:
        """The path that was written beside its bytes; None where there is none."""
        piece, local = self._locate(row)
        found: str | None = self.paths[piece][local].as_py()
        return found

    def open(self, row: int) -> BinaryIO:
        """Open the bytes of one image."""
        piece, local = self._locate(row)
        value = self.bytes[piece][local]
        if value.is_valid:
            return io.BytesIO(value.as_buffer())
        path = self.paths[piece][local].as_py() if self.open_paths else None
        try:
            if path is not None:
                return open_regular(path)
        except OSError as error:
            raise DataError(f"{self.where(row)}: {path} cannot be read ({error})") from error
        raise DataError(
            f"{self.where(row)}: there are no image bytes; write the file with the images in it "
            "(datasets embeds them in to_parquet), or drop the row"
        )

    def fingerprint(self) -> str:
        """Sha256 of all bytes; where a row names a file, of its name and its bytes."""
        import pyarrow.compute as pc

        digest = hashlib.sha256()
        for data, paths in zip(self.bytes, self.paths, strict=True):
            lengths = pc.fill_null(pc.binary_length(data), -1).to_numpy()
            digest.update(lengths.astype(np.int64).tobytes())
            named = [paths[at].as_py() for at in np.flatnonzero(lengths < 0).tolist()]
            there = [path for path in named if self.open_paths and path is not None]
            digest.update("\n".join([*map(str, named), *file_hashes(there)]).encode())
            for value in data:
                digest.update(value.as_buffer() if value.is_valid else b"")
        return digest.hexdigest()

    def _locate(self, row: int) -> tuple[int, int]:
        piece = bisect_right(self.ends, row)
        return piece, row - (self.ends[piece - 1] if piece else 0)


def _bytes_and_paths(piece: Piece) -> tuple[Any, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = piece.table.column(piece.columns.image)
    if not has_bytes(column.type):
        return column, pa.nulls(len(column), pa.string())
    if column.type.get_field_index("path") < 0:
        return pc.struct_field(column, "bytes"), pa.nulls(len(column), pa.string())
    return pc.struct_field(column, "bytes"), pc.struct_field(column, "path")


def _labels(pieces: Sequence[Piece]) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    read = []
    for piece in pieces:
        if piece.columns.label is None:
            read.append(unlabelled(len(piece.table)))
            continue
        column = piece.table.column(piece.columns.label)
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise DataError(f"{piece.file}, row {row}: the label is empty; fill it or drop the row")
        if is_text(column.type):
            read.append(np.array(column.cast(pa.string()).to_pylist(), dtype=object))
        else:
            read.append(column.to_numpy())
    return np.concatenate(read)


def _class_names(pieces: Sequence[Piece]) -> tuple[str, ...] | None:
    named = [piece for piece in pieces if piece.columns.classes is not None]
    for piece in named[1:]:
        if piece.columns.classes != named[0].columns.classes:
            raise DataError(
                f"{named[0].file} and {piece.file} name the classes differently; write both with "
                "the same names in the same order"
            )
    return named[0].columns.classes if named else None
