"""How a network is given its inputs: one as it is, several by the names of its parameters."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn


def by_name(module: nn.Module, names: Sequence[str]) -> tuple[bool, ...]:
    """Which of several inputs go under their names: those that forward has a parameter for.

    One input alone goes by its place, whatever it is called.

    >>> class Two(nn.Module):
    ...     def forward(self, ids, cache=None, attention_mask=None): ...
    >>> by_name(Two(), ["input_ids", "attention_mask"]), by_name(Two(), ["attention_mask"])
    ((False, True), (False,))
    """
    if len(names) == 1:
        return (False,)
    try:
        known = inspect.signature(module.forward).parameters
    except (TypeError, ValueError):  # a compiled program says nothing of its parameters
        return (False,) * len(names)
    any_name = any(each.kind is each.VAR_KEYWORD for each in known.values())
    fits = [any_name or name in known for name in names]
    # What stands behind one that goes by name cannot go by its place.
    return tuple(fit and all(fits[at:]) for at, fit in enumerate(fits))


def call(
    module: nn.Module, names: Sequence[str], given: Sequence[Tensor], named: Sequence[bool]
) -> Any:
    """Run a network on its inputs; ``named`` says which go under their names (`by_name`)."""
    placed = [value for value, by in zip(given, named, strict=True) if not by]
    under = {n: v for n, v, by in zip(names, given, named, strict=True) if by}
    return module(*placed, **under)


def run_on(module: nn.Module, inputs: Mapping[str, Tensor]) -> Any:
    """Run a network on inputs that are called as its parameters are.

    >>> import torch
    >>> class Scaled(nn.Module):
    ...     def forward(self, x, scale):
    ...         return x * scale
    >>> run_on(Scaled(), {"scale": torch.tensor(3.0), "x": torch.tensor(2.0)})
    tensor(6.)
    """
    names = tuple(inputs)
    return call(module, names, list(inputs.values()), by_name(module, names))
