"""Flags of the user's modules: what a stage changes it puts back, also after an exception."""

from collections.abc import Iterable

from torch import nn


class Flags:
    """Train/eval and requires_grad flags of some modules, as they were.

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

    def learns(self, parameter: nn.Parameter) -> bool:
        """Whether a parameter collected gradients; one that came later does."""
        return self._grad.get(parameter, True)

    def restore(self) -> None:
        """Put them back."""
        for module, training in self._training.items():
            module.training = training
        for parameter, requires_grad in self._grad.items():
            if parameter.is_leaf:
                parameter.requires_grad_(requires_grad)


class Frozen:
    """Modules that no update trains: no gradients, eval mode, whatever anyone calls."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._roots = list(modules)
        self._parts = [part for root in self._roots for part in root.modules()]

    def freeze(self) -> None:
        """Take their parameters out of autograd and bring them to eval mode."""
        for root in self._roots:
            for parameter in root.parameters():
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
