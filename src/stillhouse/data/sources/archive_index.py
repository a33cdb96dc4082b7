"""What lies in a tar archive: the name, place and size of each file, found once and remembered.

The index of an archive is kept in the user's cache folder under the checksum of its content; of one
on an object store also under its address and the version that the store tells.
"""

import contextlib
import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from stillhouse.data.sources.files import is_hidden, readable, shown
from stillhouse.data.sources.pictures import seen_of
from stillhouse.errors import DataError
from stillhouse.records.file_hashes import cache_path
from stillhouse.records.tensors import load_tensors, save_tensors

MOST_TEXT = 1 << 16
"""Bytes up to which what is no image is kept in the index: labels, and not segmentations."""
VERSION = "1"
NO_IMAGE = (-1, -1, -1)


@dataclass(frozen=True)
class ArchiveIndex:
    """The files of one archive, in its order.

    Shapes:
        names: bytes [M]; offsets, sizes: int64 [M]; seen: int32 [M, 3], width, height and whether
        it is grey, -1 of what is no image; texts: uint8, what is no image one after the other;
        ends: int64 [M], where each of them ends.
    """

    names: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    seen: np.ndarray
    texts: np.ndarray
    ends: np.ndarray
    left: Mapping[str, int]
    digest: str

    def text(self, member: int) -> bytes:
        """The content of a member that is no image; nothing of one that is too large."""
        start = self.ends[member - 1] if member else 0
        return self.texts[start : self.ends[member]].tobytes()


def index_of(path: Path, where: str, digest: str) -> ArchiveIndex:
    """The index of an archive that lies on this machine.

    Args:
        path: of the archive.
        where: how messages name it.
        digest: sha256 of its content.

    Raises:
        DataError: it is no tar archive, or cut short; an image in it cannot be read.
    """
    place = _folder() / f"{digest}.safetensors"
    with contextlib.suppress(DataError):
        return _loaded(place)
    index = _read(path, where, digest)
    if len(index.names):
        with contextlib.suppress(OSError):
            _keep(place, index)
    return index


def index_at(address: str, size: int, version: str) -> ArchiveIndex | None:
    """The index of an archive on a store, if this version of it was read before."""
    with contextlib.suppress(OSError, DataError):
        digest = _known_as(address, size, version).read_text(encoding="ascii")
        return _loaded(_folder() / f"{digest}.safetensors")
    return None


def remember(address: str, size: int, version: str, digest: str) -> None:
    """Keep which content an archive on a store has; nothing where the store tells no version."""
    if version:
        with contextlib.suppress(OSError):
            place = _known_as(address, size, version)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(digest, encoding="ascii")


def _known_as(address: str, size: int, version: str) -> Path:
    mark = hashlib.sha256(f"{address}\0{size}\0{version}".encode()).hexdigest()
    return _folder() / f"at-{mark}.txt"


def _folder() -> Path:
    return cache_path().parent / f"archives-v{VERSION}"


def _read(path: Path, where: str, digest: str) -> ArchiveIndex:
    """Walk over the headers of an archive; of images the front is read, of the rest all of it."""
    names, places, seen, texts = (
        list[bytes](),
        list[tuple[int, int]](),
        [NO_IMAGE][:0],
        list[bytes](),
    )
    left = Counter[str]()
    suffixes = frozenset(readable())
    try:
        with path.open("rb") as data, tarfile.open(fileobj=data, mode="r:") as tar:
            while (member := tar.next()) is not None:
                # tarfile keeps all of them, and there may be millions
                tar.members = []  # type: ignore[attr-defined]
                if member.isdir():
                    continue
                if any(map(is_hidden, member.name.split("/"))):
                    left["hidden"] += 1
                    continue
                if not member.isfile():
                    left["link, pipe or device"] += 1
                    continue
                image = Path(member.name).suffix.lower() in suffixes
                content = _content(data, member, whole=not image)
                named = f"{where}: {shown(member.name)}"
                seen.append(seen_of(io.BytesIO(content), named) if image else NO_IMAGE)
                texts.append(b"" if image or len(content) > MOST_TEXT else content)
                names.append(member.name.encode("utf-8", "surrogateescape"))
                places.append((member.offset_data, member.size))
    except (tarfile.TarError, EOFError) as error:
        raise DataError(
            f"{where} cannot be read as a tar archive ({error}); it is damaged, cut short or "
            "compressed: write it again as a plain .tar"
        ) from error
    except OSError as error:
        raise DataError(f"{where} cannot be read ({error.strerror or error})") from error
    found = np.array(places, dtype=np.int64).reshape(-1, 2)
    return ArchiveIndex(
        np.array(names, dtype=bytes),
        found[:, 0],
        found[:, 1],
        np.array(seen, dtype=np.int32).reshape(-1, 3),
        np.frombuffer(b"".join(texts), dtype=np.uint8),
        np.cumsum([len(text) for text in texts], dtype=np.int64),
        dict(left),
        digest,
    )


def _content(data: BinaryIO, member: tarfile.TarInfo, *, whole: bool) -> bytes:
    """The bytes of a member; nothing of one that is neither image nor text."""
    if whole and member.size > MOST_TEXT:
        return b""
    back = data.tell()
    data.seek(member.offset_data)
    content = data.read(member.size)
    data.seek(back)
    if len(content) < member.size:
        raise EOFError(f"{member.name} ends after {len(content)} of {member.size} bytes")
    return content


def _keep(place: Path, index: ArchiveIndex) -> None:
    arrays = {
        "names": np.frombuffer(index.names.tobytes(), dtype=np.uint8),
        "offsets": index.offsets, "sizes": index.sizes, "seen": index.seen,
        "texts": index.texts, "ends": index.ends,
    }  # fmt: skip
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    left = "\n".join(f"{count} {kind}" for kind, count in index.left.items())
    about = {"width": str(index.names.dtype.itemsize), "left": left, "digest": index.digest}
    save_tensors(place, tensors, about)


def _loaded(place: Path) -> ArchiveIndex:
    if not place.is_file():
        raise DataError(f"{place} is not there")
    tensors, about = load_tensors(place, DataError, "delete it")
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    width = max(int(about["width"]), 1)
    names = np.frombuffer(arrays.pop("names").tobytes(), dtype=f"S{width}")
    counts = (line.split(" ", 1) for line in about["left"].splitlines())
    left = {kind: int(count) for count, kind in counts}
    return ArchiveIndex(names, left=left, digest=about["digest"], **arrays)
