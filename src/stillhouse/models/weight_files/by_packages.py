"""Names of old, which timm, torchvision and transformers turn into those of their networks."""

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from stillhouse.models.weight_files.by_transformers import renamed_by_transformers
from stillhouse.models.weight_files.expected import plain_name
from stillhouse.models.weight_files.states import HeldState

Rename = Callable[[HeldState, nn.Module], HeldState | None]
"""Of a state dict and a network: the state dict under its names; None where nothing is known."""

FILTER = "checkpoint_filter_fn"
"""How timm calls what reads the files of a network's authors, beside its class."""
_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
"""Names of torchvision's DenseNets in its own files, from when a module's name could hold a dot."""


def renamed_by_packages(state: HeldState, module: nn.Module) -> HeldState | None:
    """A state dict as the packages of a module's networks name it; None where they know nothing.

    Each network of a package inside the module reads the part of the file that bears its path.
    """
    values = {plain_name(name): value for name, value in state.values.items()}
    changed = False
    for path, part, rename in _networks(module):
        inner = {name.removeprefix(path): v for name, v in values.items() if name.startswith(path)}
        renamed = rename(replace(state, values=inner, versions={}), part)
        if renamed is None:
            continue
        changed = True
        values = {name: v for name, v in values.items() if not name.startswith(path)}
        values |= {f"{path}{name}": value for name, value in renamed.values.items()}
    return replace(state, values=values, versions={}) if changed else None


def _networks(module: nn.Module) -> list[tuple[str, nn.Module, Rename]]:
    """The outermost networks of packages in a module, with what stands before their names."""
    found: list[tuple[str, nn.Module, Rename]] = []
    for path, part in module.named_modules():
        prefix = f"{plain_name(path)}." if plain_name(path) else ""
        rename = _rename(part)
        if rename is not None and not any(prefix.startswith(outer) for outer, *_ in found):
            found.append((prefix, part, rename))
    return found


def _rename(part: nn.Module) -> Rename | None:
    package, kind = type(part).__module__.partition(".")[0], type(part).__name__
    transformers: Any = sys.modules.get("transformers")
    if transformers is not None and isinstance(part, transformers.PreTrainedModel):
        return renamed_by_transformers
    if package == "torchvision" and kind == "DenseNet":
        return _by_torchvision
    if package == "timm" and hasattr(part, "get_classifier"):  # a network, not one of its blocks
        return _by_timm
    return None


def _by_torchvision(state: HeldState, _: nn.Module) -> HeldState:
    values = {_DENSE_LAYER.sub(r"\1\2", name): value for name, value in state.values.items()}
    return replace(state, values=values)


def _by_timm(state: HeldState, module: nn.Module) -> HeldState | None:
    read = getattr(sys.modules[type(module).__module__], FILTER, None)
    if read is None:
        return None
    given = (dict(state.values), module)[: len(inspect.signature(read).parameters)]
    try:
        values = read(*given)
    except Exception:  # a file that is not for it; what is wrong with it is said by its names
        return None
    return replace(state, values=dict(values))
