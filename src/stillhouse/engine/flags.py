"""Flags of the user's modules: what a stage changes it puts back, also after an exception."""

from collections.abc import Iterable
from typing import Any
from weakref import ref

from torch import nn
from torch.utils.weak import WeakIdKeyDictionary

_HOLDERS: Any = WeakIdKeyDictionary()
"""Module or parameter -> who holds its flag, in the order in which they came."""


class Flags:
    """Train/eval and requires_grad flags of some modules, as they were.

    Several may hold the flags of one module. They may end in any order: after the last one the flag
    is what it was before the first.

    >>> layer = nn.Linear(1, 1)
    >>> flags = Flags([layer])
    >>> _ = layer.eval().requires_grad_(False)
    >>> flags.restore()
    >>> layer.training, layer.weight.requires_grad
    (True, True)
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        known = list(modules)
        self._training = {m: m.training for root in known for m in root.modules()}
        self._grad = {p: p.requires_grad for root in known for p in root.parameters()}
        for held in (*self._training, *self._grad):
            _HOLDERS[held] = [*_HOLDERS.get(held, ()), ref(self)]

    def learns(self, parameter: nn.Parameter) -> bool:
        """Whether a parameter collected gradients; one that came later does."""
        return self._grad.get(parameter, True)

    def restore(self) -> None:
        """Put them back; of what is held by one that came later, that one will."""
        for module in self._training:
            if self._leave(module, self._training):
                module.training = self._training[module]
        for parameter in self._grad:
            if self._leave(parameter, self._grad) and parameter.is_leaf:
                parameter.requires_grad_(self._grad[parameter])

    def _leave(self, held: Any, flags: dict[Any, bool]) -> bool:
        """Whether the flag is to be put back now; else the next holder takes over what it was."""
        alive = [one for one in _HOLDERS.get(held, ()) if one() is not None]
        place = next((at for at, one in enumerate(alive) if one() is self), None)
        if place is None:
            return False  # was put back before
        later = [one() for one in alive[place + 1 :]]
        _HOLDERS[held] = [*alive[:place], *alive[place + 1 :]]
        if later:
            mine = later[0]._training if flags is self._training else later[0]._grad
            mine[held] = flags[held]
        return not later


def held_in_eval(network: nn.Module) -> list[str]:
    """Paths of the parts that were brought to eval mode within a network in train mode.

    Whoever writes ``network.train()`` and then ``network.bn.eval()`` wants the statistics of that
    layer kept. A network that is in eval mode as a whole, as those loaded from a file often are, is
    simply not in training yet.

    >>> net = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    >>> _ = net[1].eval()
    >>> held_in_eval(net), held_in_eval(net.eval())
    (['1'], [])
    """
    if not network.training:
        return []
    found: list[str] = []
    for path, part in network.named_modules():
        inside = any(path.startswith(f"{outer}.") for outer in found)
        if not inside and not any(each.training for each in part.modules()):
            found.append(path)
    return found


class Frozen:
    """Modules that no update trains: no gradients, eval mode, whatever anyone calls.

    Args:
        modules: those.
        still: others, which may learn but stay in eval mode all the same.
        parameters: that do not learn, beside those of the modules.
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        *,
        still: Iterable[nn.Module] = (),
        parameters: Iterable[nn.Parameter] = (),
    ) -> None:
        self._roots = list(modules)
        self._alone = list(parameters)
        self._parts = [part for root in (*self._roots, *still) for part in root.modules()]

    def freeze(self) -> None:
        """Take their parameters out of autograd and bring them to eval mode."""
        inside = (parameter for root in self._roots for parameter in root.parameters())
        for parameter in (*inside, *self._alone):
            parameter.requires_grad_(False)
        self.keep()

    def keep(self) -> None:
        """Bring back to eval mode what was switched since the last step."""
        for part in self._parts:
            if part.training:
                part.training = False


class LearningParameters:
    """Which parameters collect gradients in an update, when a stage has several updates."""

    def __init__(self, learners: Iterable[nn.Module]) -> None:
        self._wanted = {p for module in learners for p in module.parameters() if p.requires_grad}

    def enter(self, learners: Iterable[nn.Module]) -> None:
        """Let only these learners collect gradients."""
        now = {p for module in learners for p in module.parameters()}
        for parameter in self._wanted:
            parameter.requires_grad_(parameter in now)
