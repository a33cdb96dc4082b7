"""The origin: the generator that every batch starts from, and that learns from each."""

import copy
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn

BETAS = (0.5, 0.999)
"""Of Adam, for copies and for the generator: the released code of Fast-DFKD, as in DCGAN."""

Rule = Literal["fomaml", "reptile"]


class Origin:
    """The generator that every batch starts from, and how it learns from what became of its copy.

    Its gradient is the sum of all gradients that the copy has had ('fomaml'), or the way from the
    copy to it (``origin - copy``, 'reptile'); Adam makes the step of it.

    Args:
        generator: learns.
        rule: 'fomaml' or 'reptile'.
        lr: of Adam.
    """

    def __init__(self, generator: nn.Module, rule: Rule, lr: float) -> None:
        self.generator, self.rule = generator, rule
        self.copy = copy.deepcopy(generator).train()
        self.optimizer = torch.optim.Adam(generator.parameters(), lr, betas=BETAS)

    def begin(self) -> None:
        """The copy becomes what the generator is."""
        self.copy.load_state_dict(self.generator.state_dict())
        self.optimizer.zero_grad(set_to_none=True)

    def gather(self, *_: Any) -> None:
        """Called with the gradients of the copy, before each of its steps."""
        if self.rule == "fomaml":
            for mine, other in self._pairs():
                mine.grad = other.grad.clone() if mine.grad is None else mine.grad + other.grad

    def learn(self) -> None:
        """The steps of the copy are made: one step of the generator."""
        if self.rule == "reptile":
            for mine, other in self._pairs():
                mine.grad = mine.detach() - other.detach()
        self.optimizer.step()

    def _pairs(self) -> Iterable[tuple[Any, Any]]:
        return zip(self.generator.parameters(), self.copy.parameters(), strict=True)
