"""Tensors in a file that others can read: safetensors, with a checksum in its metadata."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stillhouse.records.checked import CHECKSUM, EDITED, WITHOUT, ErrorKind, damaged, unreadable
from stillhouse.records.extra_state import decoded, encoded, without_tensors
from stillhouse.records.files import replacing

ABOUT = "stillhouse"
"""The key of the metadata that is ours."""
EXTRA = "extra_state"
"""The word about a file that holds what is no tensor."""


def save_tensors(path: Path, state: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """A state dict as safetensors; tied tensors are written once per name, as it lists them.

    ``load_state_dict(load_file(path), strict=True)`` on the bare module takes it. What else modules
    keep (``get_extra_state``) is in the metadata, and `load_state` gives it back.

    Args:
        path: of the file.
        state: tensors, and what `stillhouse.records.extra_state` allows.
        metadata: words about them, kept as JSON under ``stillhouse`` beside their checksum.
    """
    extra = without_tensors(state)
    plain = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in state.items()
        if name not in extra
    }
    words = {str(key): str(value) for key, value in metadata.items()}
    if extra:
        words[EXTRA] = encoded(extra)
    # safetensors writes its keys in any order: under one key, equal products are equal files.
    about = json.dumps({**words, CHECKSUM: _checksum(plain, words)}, sort_keys=True)
    with replacing(path) as fresh:
        fresh.write_bytes(save(plain, metadata={ABOUT: about}))


def load_tensors(
    path: Path, error: ErrorKind, again: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `save_tensors` wrote: the tensors, and the words about them.

    Args:
        path: of the file.
        error: the class of what is raised.
        again: what to do about a damaged file, such as 'delete it'.

    Raises:
        StillhouseError: (of ``error``) it cannot be read, or is not what was written.
    """
    try:
        tensors, words = _read(path)
    except OSError as wrong:
        raise unreadable(path, wrong, error, again) from None
    except (SafetensorError, ValueError) as wrong:
        raise damaged(path, " ".join(str(wrong).split()), error, again) from None
    if CHECKSUM not in words:
        raise damaged(path, WITHOUT, error, again)
    known = words.pop(CHECKSUM)
    if known != _checksum(tensors, words):
        raise damaged(path, EDITED, error, again)
    return tensors, words


def load_state(path: Path) -> dict[str, Any]:
    """The state dict that `save_tensors` wrote, extra states included; nothing is compared."""
    tensors, words = _read(path)
    return {**tensors, **(decoded(words[EXTRA]) if EXTRA in words else {})}


def check_tensors(path: Path, error: ErrorKind, again: str) -> None:
    """Compare a safetensors file with its checksum, if it has one of ours; others pass.

    Raises:
        StillhouseError: (of ``error``) it is of ours, and not what was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            ours = ABOUT in (file.metadata() or {})
    except Exception:  # a damaged file can make the reader raise anything
        return  # whoever reads it says what is wrong
    if ours:
        load_tensors(path, error, again)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        words = json.loads((file.metadata() or {}).get(ABOUT, "{}"))
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if not isinstance(words, dict):
        raise ValueError("the words about it are no mapping")
    return tensors, words


def _checksum(tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> str:
    """Of names, dtypes, shapes, values and words."""
    digest = hashlib.sha256(json.dumps(dict(words), sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name!r} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
