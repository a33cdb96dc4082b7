"""WebDataset archives: in each, the files of one sample share their name up to its first dot.

    train-0000.tar: 0001.jpg, 0001.cls, 0002.jpg, 0002.cls, ...

They are read where they lie, by row: nothing is unpacked, so that data larger than a machine's disk
can be trained on. What a file holds is text or an image; nothing is unpickled.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stillhouse.data.blocks import Blocks
from stillhouse.data.sources.archive_index import MOST_TEXT, NO_IMAGE
from stillhouse.data.sources.archives import (
    Archive,
    ArchiveImages,
    ArchiveSettings,
    archive_at,
    archive_here,
)
from stillhouse.data.sources.files import shown
from stillhouse.data.sources.hugging_face import split_files, splits_by_name
from stillhouse.data.sources.labelled_splits import (
    SPLITS,
    SourceSplits,
    natural,
    number_labels,
    unlabelled,
)
from stillhouse.data.sources.pictures import picture_tables
from stillhouse.data.tables import ImageTable
from stillhouse.errors import DataError, nearest
from stillhouse.records.local_copies import GB
from stillhouse.records.remote import Location, Remote

CLASS = "cls"
"""The file of a sample that holds its label, unless another one is named."""
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


def read_archives(
    source: Location,
    image: str | None,
    label: str | None,
    *,
    labelled: bool = True,
    settings: ArchiveSettings | None = None,
) -> SourceSplits:
    """Read WebDataset archives, of the splits that their names say.

    Args:
        source: an archive or a folder of them, on this machine or a store; in an address
            ``{0000..0146}`` stands for each of these numbers.
        image: the suffix of the images, where samples have several: ``jpg``.
        label: the suffix of the file that holds the label, ``cls`` by default; ``json.label`` is
            the value of that key in a JSON file.
        labelled: whether labels are read at all.
        settings: how archives on a store are held, and shuffled.

    Raises:
        DataError: an archive that is damaged or none of samples, samples without an image or a
            label, archives that do not fit into the room for copies and are shuffled all together.
        SystemFault: a store cannot be read.
    """
    settings = settings or ArchiveSettings()
    archives = {
        split: [archive_at(p) if isinstance(p, Remote) else archive_here(p) for p in places]
        for split, places in _places(source).items()
    }
    if isinstance(source, Remote):
        _check_room(archives, settings)
    images, raw, left = dict[str, ArchiveImages](), dict[str, np.ndarray](), Counter[str]()
    for split, several in archives.items():
        read = [_samples(archive, image, label if labelled else None, labelled, left)
                for archive in several]  # fmt: skip
        images[split] = ArchiveImages(several, [rows for rows, _ in read])
        labels = [each for _, found in read for each in found]
        raw[split] = _as_array(labels) if labelled else unlabelled(len(images[split]))
    numbered = number_labels(raw, lambda split, row: images[split].where(row))
    blocks = {}
    if settings.shuffle is not None:
        blocks = {s: Blocks(part.blocks, settings.shuffle) for s, part in images.items()}
    tables = picture_tables(images, numbered.labels, blocks)
    notes = [f"{source}: left out are {_counted(left)}"] if left else []
    if settings.shuffle is not None and isinstance(tables["train"], ImageTable):
        notes.append(f"{source}: all images fit into memory and are shuffled together; "
                     "archives.shuffle (data.archives) changes nothing")  # fmt: skip
    name = source.name if isinstance(source, Remote) else source.resolve().stem
    return SourceSplits(name, tables, numbered.classes, tuple(notes), numbered.open_only, images)


def _places(source: Location) -> dict[str, Sequence[Location]]:
    """The archives of each split, train first."""
    if not isinstance(source, Remote):
        found = split_files(source, ".tar")
        return {split: found[split] for split in SPLITS if split in found}
    if source.name.endswith(".tar"):
        return {"train": [replace(source, address=each) for each in _spelt_out(source.address)]}
    names = sorted((name for name in source.sizes() if name.endswith(".tar")), key=natural)
    if not names:
        raise DataError(f"there is no .tar at {source}; wanted are WebDataset archives: "
                        "train-0000.tar with 0001.jpg, 0001.cls, ...")  # fmt: skip
    splits = splits_by_name(names, ".tar", str(source))
    return {s: [source / name for name in splits[s]] for s in SPLITS if s in splits}


def _spelt_out(address: str) -> list[str]:
    """Each address that one with numbers in braces stands for.

    >>> _spelt_out("s3://b/train-{008..010}.tar")
    ['s3://b/train-008.tar', 's3://b/train-009.tar', 's3://b/train-010.tar']
    """
    found = _BRACES.search(address)
    if found is None:
        return [address]
    first, last = found.groups()
    if int(last) < int(first):
        raise DataError(f"{address}: {found[0]} counts backwards; write {{{last}..{first}}}")
    return [
        each
        for number in range(int(first), int(last) + 1)
        for each in _spelt_out(
            f"{address[: found.start()]}{number:0{len(first)}}{address[found.end() :]}"
        )
    ]


def _samples(
    archive: Archive, image: str | None, label: str | None, labelled: bool, left: Counter[str]
) -> tuple[np.ndarray, list[int | str]]:
    """The members of an archive that are the images of its samples, and their labels."""
    index = archive.index
    left.update(index.left)
    samples: dict[str, dict[str, int]] = {}
    for member, raw in enumerate(index.names.tolist()):
        folder, _, base = raw.decode("utf-8", "surrogateescape").rpartition("/")
        stem, _, suffix = base.partition(".")
        own = samples.setdefault(f"{folder}/{stem}" if folder else stem, {})
        if suffix.lower() in own:
            raise DataError(f"{archive.place} has {shown(base)} twice; names must differ")
        own[suffix.lower()] = member
    if not samples:
        raise DataError(f"{archive.place} has no samples; each is an image and a label of one "
                        "name: 0001.jpg, 0001.cls")  # fmt: skip
    wanted, key = (label or CLASS).lower() if label is None or "." not in label else None, None
    if label is not None and "." in label:
        wanted, _, key = label.partition(".")
    rows, labels = np.empty(len(samples), dtype=np.int64), list[int | str]()
    for at, (stem, own) in enumerate(samples.items()):
        where = f"{archive.place}: {shown(stem)}"
        rows[at] = own[_image_of(own, index.seen, image, where)]
        if labelled:
            labels.append(_label_of(own, archive, wanted or CLASS, key, where))
        used = {int(rows[at]), own.get(wanted or "", -1) if labelled else -1}
        left.update(f".{suffix}" for suffix, member in own.items() if member not in used)
    return rows, labels


def _image_of(own: Mapping[str, int], seen: np.ndarray, image: str | None, where: str) -> str:
    there = [suffix for suffix, member in own.items() if tuple(seen[member]) != NO_IMAGE]
    if image is not None:
        wanted = image.lower().lstrip(".")
        if wanted not in there:
            raise DataError(f"{where} has no image .{wanted} (data.image); {_have(own)}")
        return wanted
    if len(there) != 1:
        what = f"{len(there)} images ({', '.join(there)})" if there else "no image"
        said = "name the suffix of one (data.image)" if there else _have(own)
        raise DataError(f"{where} has {what}; {said}")
    return there[0]


def _label_of(
    own: Mapping[str, int], archive: Archive, wanted: str, key: str | None, where: str
) -> int | str:
    if wanted not in own:
        raise DataError(f"{where} has no label .{wanted}; {nearest(wanted, list(own))}. Name the "
                        "suffix of the file that holds it (data.label), such as txt or "
                        "json.label")  # fmt: skip
    member = own[wanted]
    content = archive.index.text(member)
    if not content and archive.index.sizes[member] > MOST_TEXT:
        raise DataError(f"{where}.{wanted} has {archive.index.sizes[member]:,} bytes; a label is a "
                        "number or a name")  # fmt: skip
    try:
        text = content.decode().strip()
        value: Any = json.loads(text)[key] if key is not None else text
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError, KeyError) as error:
        what = f"the key '{key}' of JSON" if key is not None else "text"
        said = type(error).__name__ if not str(error) else str(error)
        raise DataError(f"{where}.{wanted} has no label: {what} is wanted ({said})") from error
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise DataError(f"{where}.{wanted}: the label is {value!r}; it must be a whole number or "
                        "a name")  # fmt: skip
    return value


def _as_array(labels: Sequence[int | str]) -> np.ndarray:
    """Whole numbers where all of them are, else names."""
    try:
        return np.array([int(each) for each in labels], dtype=np.int64)
    except ValueError:
        return np.array([str(each) for each in labels], dtype=object)


def _have(own: Mapping[str, int]) -> str:
    return f"it has {', '.join('.' + suffix for suffix in own)}"


def _counted(left: Counter[str]) -> str:
    return ", ".join(sorted(f"{count:,} {kind}" for kind, count in left.items()))


def _check_room(archives: Mapping[str, Sequence[Archive]], settings: ArchiveSettings) -> None:
    """Archives that are shuffled together must be held together, or each image is a copy."""
    several = archives["train"]
    whole, room = sum(archive.size for archive in several), settings.copies.most
    if whole <= room:
        return
    largest = max(archive.size for archive in several)
    asked = settings.shuffle
    needed = 2 * largest * (len(several) if asked is None else asked)  # one goes, another comes
    if asked is not None and needed <= room:
        return
    fits = room // (2 * largest)
    said = f"the {len(several)} archives of train have {whole / GB:.3g} GB, and their copies " \
           f"{room / GB:.3g} GB of room (data.archives.local_gb)"  # fmt: skip
    how = "all rows are shuffled together" if asked is None else f"{asked} are shuffled together"
    if fits:
        raise DataError(f"{said}, while {how}; give more room, or shuffle the rows of {fits} "
                        f"archives together: data.archives.shuffle: {fits}")  # fmt: skip
    raise DataError(f"{said}, while one has up to {largest / GB:.3g}; give room for two, "
                    f"{2 * largest / GB:.3g} GB, or write smaller archives")  # fmt: skip
