"""Weight decay by parameter: norms and biases may be left out, tied ones are told apart once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

NoDecay = Literal["norms", "biases"]
"""Kinds of parameters that weight decay can leave out."""

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
"""The bases of PyTorch's normalisations; others are known by their name."""


def decay_groups(
    module: nn.Module, parameters: Iterable[nn.Parameter], no_decay: Sequence[NoDecay]
) -> list[dict[str, Any]]:
    """Parameter groups of which the last, if there is one to leave out, has no weight decay.

    A parameter in several places (tied weights) is one of its group once, and is left out only
    where all its places are.

    Args:
        module: what the parameters are part of.
        parameters: those that learn, in their order.
        no_decay: ``norms``: scale and shift of normalisations; ``biases``: of all other layers.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> groups = decay_groups(net, net.parameters(), ["norms"])
    >>> [(len(group["params"]), group.get("weight_decay")) for group in groups]
    [(2, None), (2, 0.0)]
    """
    kinds: dict[int, set[str]] = {}
    for kind, parameter in _places(module):
        kinds.setdefault(id(parameter), set()).add(kind)
    decaying: list[nn.Parameter] = []
    without: list[nn.Parameter] = []
    for parameter in dict.fromkeys(parameters):
        spared = kinds.get(id(parameter), {"weights"}) <= set(no_decay)
        (without if spared else decaying).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decaying}] if decaying else []
    return [*groups, {"params": without, "weight_decay": 0.0}] if without else groups


def _places(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Each parameter in each of its places, with what it is there."""
    for part in module.modules():
        own = dict(part.named_parameters(recurse=False, remove_duplicate=False))
        norm = bool(own) and _is_norm(part, own.values())
        for name, parameter in own.items():
            bias = parameter.ndim <= 1 and "bias" in name.split("_")
            yield "norms" if norm else "biases" if bias else "weights", parameter


def _is_norm(part: nn.Module, own: Iterable[nn.Parameter]) -> bool:
    if isinstance(part, NORMS):
        return True
    return "norm" in type(part).__name__.lower() and all(p.ndim <= 1 for p in own)
