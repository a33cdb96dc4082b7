"""Fingerprints: what made a product, in a word."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stillhouse.errors import WeightsError
from stillhouse.records.extra_state import described

LENGTH = 16
"""Hexadecimal digits of a fingerprint: 64 bits."""


def fingerprint(value: Mapping[str, Any]) -> str:
    """A hash of plain data that does not depend on the order of its keys.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return text_hash(json.dumps(value, sort_keys=True, default=str))


def text_hash(text: str) -> str:
    """The first digits of the sha256 of a text.

    >>> text_hash("kd")
    'f66025c51e65b02f'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def file_hash(path: Path) -> str:
    """Sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_fingerprint(
    module_or_state: nn.Module | Mapping[str, Any], *, who: str | None = None
) -> str:
    """SHA-256 over the sorted names, dtypes, shapes and bytes of parameters and buffers.

    Layout in memory (channels last or not), order and device do not matter; every bit of a
    value does. What modules keep besides (``get_extra_state``) counts by its values.

    Args:
        module_or_state: a module (its state dict is taken) or a state dict.
        who: what the user calls the network, in messages.

    Returns:
        64 hexadecimal digits.

    Raises:
        WeightsError: a tensor is not a dense one, or an extra state holds what cannot be kept.

    >>> weights_fingerprint({"w": torch.zeros(2)})[:8]
    'ad7dba12'
    >>> weights_fingerprint({"w": torch.zeros(2, 1)})[:8]
    '41113a0a'
    """
    state: Mapping[str, object] = (
        module_or_state.state_dict() if isinstance(module_or_state, nn.Module) else module_or_state
    )
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name]
        if not isinstance(tensor, Tensor):
            digest.update(f"{name!r} {_extra(name, tensor, who)}\n".encode())
            continue
        if tensor.layout != torch.strided or tensor.is_meta:
            raise WeightsError(
                f"{_of(who)}cannot fingerprint '{name}': it is no dense tensor with values "
                f"({type(tensor).__name__}); leave it out"
            )
        digest.update(f"{name!r} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _extra(name: str, value: object, who: str | None) -> str:
    try:
        return described(value)
    except WeightsError as error:
        raise WeightsError(f"{_of(who)}the state '{name}' cannot be kept: {error}") from None


def _of(who: str | None) -> str:
    return "" if who is None else f"{who}: "


class Difference(NamedTuple):
    """Where two descriptions differ.

    Args:
        key: dotted.
        there: the value of what exists.
        asked: the value of what is asked for.
    """

    key: str
    there: object
    asked: object

    def __str__(self) -> str:
        return f"{self.key} (there: {self.there}, asked: {self.asked})"


def first_difference(asked: Mapping[str, Any], there: Mapping[str, Any]) -> Difference | None:
    """The first key under which two descriptions differ; None when they agree.

    A key that one side does not know and the other leaves empty is no difference.

    >>> str(first_difference({"a": {"b": 1}}, {"a": {"b": 2}}))
    'a.b (there: 2, asked: 1)'
    >>> first_difference({"a": {"b": 1, "new": None}}, {"a": {"b": 1}}) is None
    True
    """
    for key in dict.fromkeys([*asked, *there]):
        mine, theirs = asked.get(key), there.get(key)
        if mine == theirs:
            continue
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            inner = first_difference(mine, theirs)
            if inner is not None:
                return inner._replace(key=f"{key}.{inner.key}")
            continue
        return Difference(key, theirs, mine)
    return None
