"""What a derivation gives: the new network, what became of each layer, what was left as it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from stillhouse.errors import ModelError, nearest
from stillhouse.models.given import copied


@dataclass(frozen=True, slots=True)
class Change:
    """A layer that became something else.

    Args:
        path: where it is.
        before, after: weights and biases of it.
        how: what it became, in words.
    """

    path: str
    before: int
    after: int
    how: str


@dataclass(frozen=True, slots=True)
class UnchangedLayer:
    """A layer that a derivation is about and left as it is, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class DerivedModel:
    """A network that was made out of another one, which stays as it was."""

    module: nn.Module
    changes: tuple[Change, ...] = ()
    kept: tuple[UnchangedLayer, ...] = ()


@dataclass(frozen=True, slots=True)
class Replacement:
    """What one layer becomes, and how that is said."""

    module: nn.Module
    how: str


WHOLE = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""Modules that read the weights of their layers past the layers, in their fused form."""

Decide = Callable[[Any], "Replacement | str"]
"""Of one layer: what it becomes, or why it is kept."""


def rebuilt(
    module: nn.Module, kinds: tuple[type[nn.Module], ...], decide: Decide, keep: Sequence[str]
) -> DerivedModel:
    """A copy of a network with some of its layers replaced.

    A layer that has more than one path is replaced once, at all of them. Kept are layers at or
    below the paths of ``keep``, layers whose weight another module has too or reads past them, and
    those of a class of their own, which may compute anything.

    Args:
        module: stays as it is.
        kinds: classes of layers that this is about.
        decide: says what becomes of such a layer.
        keep: paths that are left alone.

    Raises:
        ModelError: a path of ``keep`` is not there.

    >>> net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    >>> nothing = Replacement(nn.Identity(), "nothing")
    >>> made = rebuilt(net, (nn.Linear,), lambda _: nothing, keep=["1"])
    >>> made.changes
    (Change(path='0', before=20, after=0, how='nothing'),)
    >>> made.kept
    (UnchangedLayer(path='1', why='asked for'),)
    """
    check_paths(module, keep)
    made = copied(module, who="teacher")
    owners = _owners(made)
    read_inside = [path for path, part in made.named_modules() if isinstance(part, WHOLE)]
    aliases = _aliases(made)
    new: dict[nn.Module, nn.Module] = {}
    changes, kept = [], []
    paths = [(path, part) for path, part in made.named_modules(remove_duplicate=False) if path]
    for path, layer in paths:
        if layer in new:
            made.set_submodule(path, new[layer])
            continue
        if not isinstance(layer, kinds):
            continue
        names = aliases[id(layer)]
        found = _spared(names, layer, kinds, keep, owners, read_inside) or decide(layer)
        if isinstance(found, str):
            kept.append(UnchangedLayer(path, found))
        else:
            new[layer] = found.module.train(layer.training)
            made.set_submodule(path, new[layer])
            changes.append(Change(path, numbers(layer), numbers(found.module), found.how))
    return DerivedModel(made, tuple(changes), tuple(kept))


def check_paths(module: nn.Module, paths: Sequence[str]) -> None:
    """Make sure that all these modules exist.

    Raises:
        ModelError: one does not.
    """
    known = [path for path, _ in module.named_modules(remove_duplicate=False) if path]
    for path in paths:
        if path not in known:
            raise ModelError(
                f"keep: {type(module).__name__} has no module '{path}'; {nearest(path, known)}"
            )


def numbers(module: nn.Module) -> int:
    """How many parameters a module has.

    >>> numbers(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in module.parameters())


def classifier(module: nn.Module) -> tuple[str, ...]:
    """The path of the last Linear, which gives the logits; nothing where there is no Linear.

    >>> classifier(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    ('2',)
    """
    linears = [path for path, part in module.named_modules() if isinstance(part, nn.Linear)]
    return tuple(linears[-1:])


def _spared(
    paths: Sequence[str],
    layer: nn.Module,
    kinds: tuple[type[nn.Module], ...],
    keep: Sequence[str],
    owners: dict[int, int],
    read_inside: Sequence[str],
) -> str | None:
    def below(places: Sequence[str]) -> bool:
        pairs = [(path, place) for path in paths for place in places]
        return any(f"{path}.".startswith(f"{place}.") or not place for path, place in pairs)

    if below(keep):
        return "asked for"
    if any(owners[id(parameter)] > 1 for parameter in layer.parameters(recurse=False)):
        return "another module has its weight too"
    if type(layer) not in kinds:
        return f"its class {type(layer).__name__} may compute anything"
    if below(read_inside):
        return "the attention around it reads its weight itself"
    return None


def _aliases(module: nn.Module) -> dict[int, list[str]]:
    """All paths of each module."""
    found: dict[int, list[str]] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        found.setdefault(id(part), []).append(path)
    return found


def _owners(module: nn.Module) -> dict[int, int]:
    """How many modules have each parameter."""
    found: dict[int, int] = {}
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            found[id(parameter)] = found.get(id(parameter), 0) + 1
    return found
