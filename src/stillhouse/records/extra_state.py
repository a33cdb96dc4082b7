"""What modules keep beside tensors (``get_extra_state``): told apart, described, and put in words.

Allowed is what ``torch.load(weights_only=True)`` reads again, since a checkpoint is read so.
"""

import base64
import hashlib
import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from stillhouse.errors import WeightsError

ALLOWED = "tensors, numbers, text, bytes, lists, tuples, sets and mappings of these"


def without_tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a state dict that are no tensors.

    >>> without_tensors({"weight": torch.zeros(1), "_extra_state": {"calls": 1}})
    {'_extra_state': {'calls': 1}}
    """
    return {name: value for name, value in state.items() if not isinstance(value, Tensor)}


def described(value: Any) -> str:
    """A text that is the same for equal values, and for no others.

    Raises:
        WeightsError: it is, or holds, something that a checkpoint could not give back.

    >>> described({"b": (1, True), "a": None})
    "{'a': None, 'b': (1, True)}"
    """
    if isinstance(value, Tensor):
        return f"tensor {value.dtype} {tuple(value.shape)} {tensor_hash(value)}"
    if isinstance(value, Mapping):
        pairs = sorted((described(key), described(each)) for key, each in value.items())
        return "{" + ", ".join(f"{key}: {each}" for key, each in pairs) + "}"
    if type(value) in (list, tuple):
        inside = ", ".join(map(described, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if type(value) is set:
        return "set(" + ", ".join(sorted(map(described, value))) + ")"
    if value is None or type(value) in (bool, int, float, complex, str, bytes):
        return repr(value)
    if isinstance(value, torch.dtype | torch.Size | torch.device):
        return repr(value)
    raise WeightsError(f"it holds a {type(value).__name__}; give {ALLOWED}")


def tensor_hash(value: Tensor) -> str:
    """SHA-256 of the bytes of a tensor, wherever it is and whatever its layout in memory.

    Raises:
        WeightsError: it is no dense tensor with values.

    >>> tensor_hash(torch.zeros(2))[:8]
    'af5570f5'
    """
    if value.layout != torch.strided or value.is_meta:
        raise WeightsError("it is no dense tensor with values; leave it out")
    plain = value.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(plain.view(torch.uint8).numpy().tobytes()).hexdigest()


def encoded(extra: Mapping[str, Any]) -> str:
    """Such entries as text, for the metadata of a file that holds tensors alone.

    >>> decoded(encoded({"_extra_state": {"calls": (1, 2)}}))
    {'_extra_state': {'calls': (1, 2)}}
    """
    file = io.BytesIO()
    torch.save(dict(extra), file)
    return base64.b64encode(file.getvalue()).decode()


def decoded(text: str) -> dict[str, Any]:
    """What `encoded` was given; read as data only."""
    found: dict[str, Any] = torch.load(
        io.BytesIO(base64.b64decode(text)), map_location="cpu", weights_only=True
    )
    return found
