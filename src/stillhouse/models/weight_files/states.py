"""State dicts inside what a file holds, under whatever key its maker chose."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillhouse.models.weight_files.text import some

DEPTH = 3
"""Of containers in containers that are looked into."""

LONGEST = 16
"""Of lists that are looked into: a checkpoint may be (state, optimizer)."""

EXTRA = "_extra_state"
"""How torch calls what a module saves beside tensors."""


@dataclass(frozen=True, slots=True)
class HeldState:
    """One state dict of a file.

    Args:
        key: where in the file, as in ``ema.state_dict``; empty for the file itself.
        values: tensors by name, and what modules save beside tensors.
        versions: of modules by path, as torch keeps them with a state dict.
        left: names of the same state dict that are not taken.
    """

    key: str
    values: Mapping[str, Any]
    versions: Mapping[str, Any] = field(default_factory=dict)
    left: tuple[str, ...] = ()

    def under(self, prefix: str) -> "HeldState":
        """The part whose names begin with a prefix, without it; the rest is left."""
        values = {name[len(prefix) :]: v for name, v in self.values.items() if _under(name, prefix)}
        versions = {
            path[len(prefix) :] if path != prefix[:-1] else "": version
            for path, version in self.versions.items()
            if path == prefix[:-1] or path.startswith(prefix)
        }
        left = tuple(name for name in self.values if not _under(name, prefix))
        return replace(self, values=values, versions=versions, left=(*self.left, *left))


def states_in(content: object) -> list[HeldState]:
    """Every state dict that a file holds, the outermost first.

    Arrays of numpy become tensors. Numbers and words between the tensors are left.

    >>> held = {"epoch": 3, "net": {"fc.weight": torch.zeros(2, 3)}, "best": 0.7}
    >>> [(state.key, list(state.values)) for state in states_in(held)]
    [('net', ['fc.weight'])]
    """
    return list(_walk(content, (), DEPTH))


def flattened(content: object) -> HeldState | None:
    """State dicts that lie side by side as one: ``{encoder: {...}, head: {...}}``.

    >>> content = {"body": {"weight": torch.zeros(1)}, "head": {"bias": torch.zeros(1)}}
    >>> list(flattened(content).values)
    ['body.weight', 'head.bias']
    """
    if not isinstance(content, Mapping):
        return None
    parts = [state for state in _walk(content, (), 1) if state.key]
    values = {f"{part.key}.{name}": value for part in parts for name, value in part.values.items()}
    return HeldState("", values) if len(parts) > 1 else None


def described(content: object) -> str:
    """What a file holds, where that is no state dict."""
    if isinstance(content, Mapping):
        keys = [str(key) for key in content]
        return f"a dict with {some(keys)}" if keys else "an empty dict"
    return f"a {type(content).__name__}"


def _walk(content: object, path: tuple[str, ...], depth: int) -> Iterator[HeldState]:
    if isinstance(content, Mapping):
        state = _state(content, ".".join(path))
        if state is not None:
            yield state
        # Numbers as keys are parameters of an optimiser, whose moments are no weights.
        inner: Sequence[tuple[Any, Any]] = [
            (key, value) for key, value in content.items() if isinstance(key, str)
        ]
    elif isinstance(content, list | tuple) and not path and len(content) <= LONGEST:
        inner = list(enumerate(content))
    else:
        return
    if depth > 0:
        for key, value in inner:
            if isinstance(value, Mapping):
                yield from _walk(value, (*path, str(key)), depth - 1)


def _state(content: Mapping[Any, Any], key: str) -> HeldState | None:
    values: dict[str, Any] = {}
    left = []
    for name, value in content.items():
        tensor = _tensor(value)
        if isinstance(name, str) and (tensor is not None or name.endswith(EXTRA)):
            values[name] = value if tensor is None else tensor
        elif not isinstance(value, Mapping | list | tuple):
            left.append(str(name))
    if not any(isinstance(value, Tensor) for value in values.values()):
        return None
    versions = getattr(content, "_metadata", None)
    known = dict(versions) if isinstance(versions, Mapping) else {}
    return HeldState(key, values, known, tuple(left))


def _tensor(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        try:
            return torch.from_numpy(np.array(value))
        except TypeError:  # a kind of number that torch has not
            return None
    return None


def _under(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and len(name) > len(prefix)
