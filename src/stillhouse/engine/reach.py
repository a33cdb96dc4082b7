"""Which parameters a gradient reaches, read off the graph of autograd; no number decides.

A loss may be zero by chance, and so may its gradient (behind a ReLU): that says nothing. What says
something is whether a path leads from the loss to a parameter at all.
"""

import functools
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

REENTRANT = "CheckpointFunctionBackward"
"""What ``torch.utils.checkpoint.checkpoint(use_reentrant=True)`` leaves in the graph."""

HOOKED = "BackwardHookFunctionBackward"
"""What a backward hook of a module leaves there; it lets through whatever comes."""


def reaches(value: Tensor, parameters: Collection[nn.Parameter]) -> bool:
    """Whether a gradient of a value comes to any of these parameters.

    What a reentrant checkpoint runs is not in the graph; the modules that it will run again are
    looked into. A function of one's own may give no gradient (None) although the graph goes on
    behind it: where every path leads through such ones, a gradient is taken, and whether there is
    one is what counts, not its size.

    >>> layer = nn.Linear(2, 1)
    >>> reaches(layer(torch.zeros(1, 2)).relu().sum() * 0.0, list(layer.parameters()))
    True
    >>> reaches(layer(torch.zeros(1, 2)).detach().sum(), list(layer.parameters()))
    False
    """
    wanted = {id(parameter): parameter for parameter in parameters}
    if any(_is_closed(node) for node in _nodes(value)):
        return True  # it runs again what nobody can look into: training will tell
    if any(id(leaf) in wanted for leaf in _leaves(value, through_own=False)):
        return True
    found = [wanted[id(leaf)] for leaf in _leaves(value) if id(leaf) in wanted]
    return bool(found) and _gives(value, found)


def passes_reentrant(value: Tensor) -> bool:
    """Whether a value comes through a reentrant checkpoint."""
    return any(node.name() == REENTRANT for node in _nodes(value))


def _nodes(value: Tensor, *, through_own: bool = True) -> Iterator[Any]:
    """The graph behind a value, nearest first; or only as far as functions of torch go."""
    waiting: list[Any] = [value.grad_fn] if value.grad_fn is not None else []
    known = set(waiting)
    for node in waiting:  # it grows
        yield node
        if not through_own and _is_own(node):
            continue
        for behind, _ in node.next_functions:
            if behind is not None and behind not in known:
                known.add(behind)
                waiting.append(behind)


def _is_own(node: Any) -> bool:
    """Whether it is a `torch.autograd.Function` that somebody wrote."""
    own = isinstance(node, torch.autograd.function.FunctionCtx)
    return own and node.name() not in (REENTRANT, HOOKED)


def _leaves(value: Tensor, *, through_own: bool = True) -> Iterator[Tensor]:
    if value.grad_fn is None and value.requires_grad:
        yield value
    for node in _nodes(value, through_own=through_own):
        if hasattr(node, "variable"):
            yield node.variable
        elif node.name() == REENTRANT:
            for module in _modules_of((node.run_function, node.inputs), set()):
                yield from (each for each in module.parameters() if each.requires_grad)


def _modules_of(held: Any, seen: set[int]) -> Iterator[nn.Module]:
    """The modules that a function runs, as far as it holds them."""
    if id(held) in seen:
        return
    seen.add(id(held))
    if isinstance(held, nn.Module):
        yield held
        return
    inner: list[Any] = list(held) if isinstance(held, list | tuple) else []
    if isinstance(held, functools.partial):
        inner += [held.func, *held.args, *held.keywords.values()]
    inner += [getattr(held, name, None) for name in ("__self__", "__wrapped__", "__func__")]
    inner += [
        cell.cell_contents for cell in getattr(held, "__closure__", None) or () if _full(cell)
    ]
    for each in inner:
        if each is not None:
            yield from _modules_of(each, seen)


def _is_closed(node: Any) -> bool:
    """Whether it is a reentrant checkpoint whose modules cannot be seen."""
    if node.name() != REENTRANT:
        return False
    return not any(_modules_of((node.run_function, node.inputs), set()))


def _full(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _gives(value: Tensor, parameters: list[nn.Parameter]) -> bool:
    """Whether any of them gets a gradient; the nearest is asked first, which costs least."""
    for asked in (parameters[:1], parameters):
        try:
            found = torch.autograd.grad(value, asked, retain_graph=True, allow_unused=True)
        except RuntimeError:  # such as a reentrant checkpoint on the way: training will tell
            return True
        if any(each is not None for each in found):
            return True
    return False
