"""Which parts of a network keep their bits while the rest learns: named, found, and told."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from stillhouse.engine.flags import held_in_eval
from stillhouse.errors import ModelError, nearest

SHOWN = 8
"""Names that a line tells before it counts the rest."""


@dataclass(frozen=True)
class FrozenParts:
    """What of a network is named as frozen.

    Args:
        modules: paths; none is inside another one.
        parameters: names of those that were named by themselves.
    """

    modules: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    def of(self, network: nn.Module) -> list[nn.Parameter]:
        """The parameters themselves."""
        inside = [p for path in self.modules for p in network.get_submodule(path).parameters()]
        return [*inside, *(network.get_parameter(name) for name in self.parameters)]


def frozen_parts(network: nn.Module, asked: Iterable[str], *, who: str) -> FrozenParts:
    """The modules and parameters that are named by their path, or by a pattern of paths.

    In a pattern ``*`` stands for anything, dots included, ``?`` for one character and ``[ab]`` for
    one of these.

    Args:
        network: whose parts they are.
        asked: paths and patterns.
        who: what the user calls the network.

    Raises:
        ModelError: nothing of the network has such a name.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    >>> frozen_parts(net, ["1*", "0.bias"], who="student")
    FrozenParts(modules=('1',), parameters=('0.bias',))
    """
    paths = [path for path, _ in network.named_modules(remove_duplicate=False) if path]
    names = [name for name, _ in network.named_parameters(remove_duplicate=False)]
    modules: list[str] = []
    parameters: list[str] = []
    for each in asked:
        found = [path for path in paths if path == each or fnmatchcase(path, each)]
        alone = [] if found else [name for name in names if fnmatchcase(name, each)]
        if not found and not alone:
            there = f"{who} has no module or parameter '{each}'"
            raise ModelError(f"frozen: {there}; {nearest(each, [*paths, *names])}")
        modules += found
        parameters += alone
    outermost = [path for path in modules if not any(path.startswith(f"{o}.") for o in modules)]
    return FrozenParts(tuple(dict.fromkeys(outermost)), tuple(dict.fromkeys(parameters)))


def frozen_names(network: nn.Module, asked: Iterable[str] = (), *, who: str) -> list[str]:
    """What of a network does not learn, by the fewest names: named, or given so.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).requires_grad_(False)
    >>> _ = net[1].weight.requires_grad_(True)
    >>> frozen_names(net, who="student")
    ['0', '1.bias']
    """
    kept = {id(p) for p in frozen_parts(network, asked, who=who).of(network)}
    kept |= {id(p) for p in network.parameters() if not p.requires_grad}
    found: list[str] = []
    for path, part in network.named_modules():
        if any(path.startswith(f"{outer}.") for outer in found):
            continue
        inside = {id(p) for p in part.parameters()}
        if path and inside and inside <= kept:
            found.append(path)
            continue
        own = part.named_parameters(path, recurse=False)
        found += [name for name, parameter in own if id(parameter) in kept]
    return found


def learning_told(network: nn.Module, asked: Iterable[str] = (), *, who: str) -> str | None:
    """A line that says which part of a network learns; None where all of it does.

    Tied tensors count once.

    Args:
        network: before it is trained.
        asked: paths and patterns that are to be frozen beside what was given so.
        who: what the user calls it.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    >>> _ = net[1].eval()
    >>> learning_told(net, ["0"], who="student")
    'student: 2 of 6 parameters frozen: 0; 7 of 13 values learn; in eval mode: 1'
    """
    asked = tuple(asked)
    parts = frozen_parts(network, asked, who=who)
    kept = {id(p) for p in parts.of(network)}
    known = list(network.parameters())
    learning = [p for p in known if p.requires_grad and id(p) not in kept]
    held = [path for path in held_in_eval(network) if path not in parts.modules]
    if len(learning) == len(known) and not held:
        return None
    values, free = sum(p.numel() for p in known), sum(p.numel() for p in learning)
    told = []
    if len(learning) < len(known):
        names = _listed(frozen_names(network, asked, who=who))
        told.append(f"{len(known) - len(learning)} of {len(known)} parameters frozen: {names}")
    told.append(f"{free:,} of {values:,} values learn")
    if held:
        told.append(f"in eval mode: {_listed(held)}")
    return f"{who}: {'; '.join(told)}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
