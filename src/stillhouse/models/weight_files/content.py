"""What a file is, told by its content: the suffix is never asked."""

import json
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEAD = 4096
"""Bytes from the start of a file that are looked at."""

SAFETENSORS, TORCH_ZIP, TORCH_LEGACY, INDEX = "safetensors", "torch zip", "torch", "index"
READABLE = (SAFETENSORS, TORCH_ZIP, TORCH_LEGACY, INDEX)
# The pickled number 0x1950a86a20f9469cfc6c with which torch.save began before its zip format.
LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
SHARDS = "weight_map"
"""Key of an index of shards."""

STATE_DICT = "torch.save(model.state_dict(), PATH)"


@dataclass(frozen=True, slots=True)
class Content:
    """What was found in a file.

    Args:
        kind: one of `READABLE`; None for what holds no weights that can be read.
        what: it is, for messages.
        remedy: what to do about it.
    """

    kind: str | None
    what: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Foreign:
    """Another format by its first bytes, `at` so many bytes from the start."""

    magic: bytes
    what: str
    remedy: str
    at: int = 0


_UNPACK = "unpack it and give the file inside"
_EXPORTED = f"give the checkpoint that it was exported from: {STATE_DICT}"
_OTHER_FRAMEWORK = (
    f"load it with its own package into the PyTorch model and save that: {STATE_DICT}"
)
_FOREIGN: Sequence[_Foreign] = (
    _Foreign(
        b"version https://git-lfs",
        "a Git LFS pointer in place of the weights",
        "fetch them: git lfs pull",
    ),
    _Foreign(b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", _OTHER_FRAMEWORK),
    _Foreign(
        b"\x93NUMPY", "one NumPy array", "save the state dict of the model, which names its tensors"
    ),
    _Foreign(b"GGUF", "a GGUF file of quantised weights", "give the checkpoint it was made from"),
    _Foreign(b"TFL3", "a TensorFlow Lite model", _OTHER_FRAMEWORK, at=4),
    _Foreign(b"\x1f\x8b", "compressed with gzip", _UNPACK),
    _Foreign(b"BZh", "compressed with bzip2", _UNPACK),
    _Foreign(b"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    _Foreign(b"(\xb5/\xfd", "compressed with zstd", _UNPACK),
    _Foreign(b"7z\xbc\xaf'\x1c", "a 7-Zip archive", _UNPACK),
    _Foreign(b"Rar!", "a RAR archive", _UNPACK),
    _Foreign(b"ustar", "a tar archive", _UNPACK, at=257),
    _Foreign(b"%PDF", "a PDF document", "give the weights file"),
    _Foreign(b"\x89PNG", "a picture", "give the weights file"),
    _Foreign(b"\xff\xd8\xff", "a picture", "give the weights file"),
)
_DAMAGED = "is truncated or damaged", "copy or save it again"


def content_of(file: Path) -> Content:
    """What a file is.

    Raises:
        OSError: it cannot be opened.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "weights.pth"
    ...     _ = path.write_bytes(b"<!DOCTYPE html><html>Not found</html>")
    ...     content_of(path).what
    'is a web page that was saved in place of the weights'
    """
    with file.open("rb") as opened:
        head = opened.read(HEAD)
    size = file.stat().st_size
    if not head:
        return Content(None, "is empty", "copy or download it again")
    for other in _FOREIGN:
        if head[other.at :].startswith(other.magic):
            return Content(None, f"is {other.what}", other.remedy)
    if head.startswith(b"PK\x03\x04"):
        return _zipped(file)
    if head[8:9] == b"{":
        return _safetensors(head, size)
    if head[:1] == b"\x80":
        return _pickled(head)
    return _text(file, head, size) or _protobuf(head) or Content(None, *_unknown(head))


def _safetensors(head: bytes, size: int) -> Content:
    (length,) = struct.unpack("<Q", head[:8])
    if 8 + length > size:
        told = f"is truncated or damaged: its header has {length} bytes, the file {size}"
        return Content(None, told, _DAMAGED[1])
    return Content(SAFETENSORS)


def _pickled(head: bytes) -> Content:
    if LEGACY_MAGIC in head[:32]:
        return Content(TORCH_LEGACY)
    if len(head) < 32:
        return Content(None, *_DAMAGED)
    return Content(
        None,
        "is a plain pickle that torch.save has not written, and reading it could run code",
        f"where it was made, write it with {STATE_DICT}",
    )


def _zipped(file: Path) -> Content:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):  # bits of its directory are off
        return Content(None, *_DAMAGED)
    inner = {name.partition("/")[2] or name for name in names}
    if any(name.endswith("constants.pkl") for name in inner):
        said = "torch.save(torch.jit.load(FILE).state_dict(), PATH)"
        return Content(None, "is a TorchScript program", f"where you trust it, run {said}")
    if "data.pkl" in inner:
        return Content(TORCH_ZIP)
    if any(name.startswith("archive_format") for name in inner):
        return Content(None, "is an exported program of torch.export", _EXPORTED)
    if all(name.endswith(".npy") for name in names):
        remedy = f"make a state dict of it, name to tensor, and write it: {STATE_DICT}"
        return Content(None, "is a NumPy archive (.npz)", remedy)
    if "model.weights.h5" in names:
        return Content(None, "is a Keras model", _OTHER_FRAMEWORK)
    found = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Content(None, f"is a zip archive with {found or 'nothing in it'}", _UNPACK)


def _text(file: Path, head: bytes, size: int) -> Content | None:
    try:
        text = head[: HEAD - 4].decode("utf-8")
    except UnicodeDecodeError:
        return None
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<!doctype", "<html", "<head", "<?xml", "<error")):
        told = "is a web page that was saved in place of the weights"
        return Content(None, told, "download the file itself, and look at what the address gives")
    if start.startswith("{") and size < 1 << 28:
        try:
            if SHARDS in json.loads(file.read_text("utf-8")):
                return Content(INDEX)
        except (ValueError, RecursionError):
            return Content(None, *_DAMAGED)
        return Content(None, "is JSON without weights", "give the weights file beside it")
    if all(sign.isprintable() or sign.isspace() for sign in text):
        return Content(None, f"is text that begins with '{text[:40].strip()}'", "give the weights")
    return None


def _protobuf(head: bytes) -> Content | None:
    if b"saved_model" in head or b"tensorflow" in head.lower():
        return Content(None, "is a TensorFlow model", _OTHER_FRAMEWORK)
    # Field 1 of an ONNX model is its IR version; the next is a string or the graph.
    if head[0] == 0x08 and 0 < head[1:2][0] < 0x20 and head[2:3] in b"\x12\x1a\x22\x32\x3a\x42":
        return Content(None, "is an ONNX model", _EXPORTED)
    return None


def _unknown(head: bytes) -> tuple[str, str]:
    told = f"is of no known kind (its first bytes are {head[:8].hex(' ')}), or damaged"
    return told, f"give safetensors, or what {STATE_DICT} writes"
