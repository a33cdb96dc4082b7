"""Ema: a role whose weights follow those of another one."""

import math

import torch
from torch import nn

from stillhouse.engine.nodes.role import Role
from stillhouse.errors import WiringError
from stillhouse.models.given import copied, distinct_tensors

WARMING = -2 / 3
"""By what power of the number of steps the start is forgotten: timm's, of
``inv_gamma=1, power=2/3``."""


class Ema(Role):
    """A role whose weights follow another role: ``w <- decay * w + (1 - decay) * w_of``.

    Floating-point buffers follow in the same way, others are copied. It never learns by itself.

    Args:
        name: how signals call it.
        of: the role that it follows.
        decay: what it keeps of itself at each step, in 0..1; 0 makes it a copy, a snapshot.
        every: epochs between its steps.
        parts: instead of it, a number of equal parts of the training; it steps at the end of each,
            whatever the budget. With neither it follows at each optimiser step.
        warmup: in step n it keeps at most ``1 - n ** (-2 / 3)`` of itself, nothing in the first, so
            that it forgets how the role began (ModelEmaV3 of timm, ``use_warmup``).

    Paper: Tarvainen & Valpola, "Mean teachers are better role models", arXiv 1703.01780.

    >>> of = Role("student", nn.Linear(1, 1, bias=False))
    >>> ema = Ema("mean", of, decay=0.9)
    >>> with torch.no_grad():
    ...     _ = of.module.weight.add_(1.0)
    >>> ema.follow()
    >>> round((of.module.weight - ema.module.weight).item(), 4)
    0.9
    """

    def __init__(
        self,
        name: str,
        of: Role,
        *,
        decay: float = 0.999,
        every: int | None = None,
        parts: int | None = None,
        warmup: bool = False,
    ) -> None:
        where = f"node '{name}'"
        if not 0.0 <= decay <= 1.0:
            raise WiringError(where, [f"decay must be in 0..1, not {decay}"])
        if every is not None and every < 1:
            raise WiringError(where, [f"every must be at least 1 epoch, not {every}"])
        if parts is not None and parts < 1:
            raise WiringError(where, [f"parts must be at least 1, not {parts}"])
        if every is not None and parts is not None:
            raise WiringError(where, ["every and parts say the same in two ways; give one"])
        if warmup and (every is not None or parts is not None):
            raise WiringError(where, ["warmup is of one that follows at each step"])
        super().__init__(
            name,
            copied(of.module, who=of.title),
            reads=dict(zip(of.parameters, of.reads, strict=True)),
            head=of._head,
            aliases=of.aliases,
            output=of.output,
        )
        self.of = of
        self.decay = decay
        self.every = every
        self.parts = parts
        self.warmup = warmup

    @property
    def follows_training(self) -> bool:
        """Whether when it steps depends on how much of the training is done."""
        return self.every is not None or self.parts is not None

    def due(self, before: float, now: float, epochs: float) -> bool:
        """Whether it steps where the share of the training that is done goes from one to another.

        One step of the optimiser lies between the two, so their difference tells how many steps
        there are in all; parts are as long as whole steps allow, ``ceil(steps / parts)``, as are
        the cycles of `cosine_restarts`.

        >>> ema = Ema("snapshot", Role("student", nn.Linear(1, 1)), decay=0.0, parts=4)
        >>> ema.due(0.1, 0.2, epochs=8.0), ema.due(0.2, 0.3, epochs=8.0)
        (False, True)
        """
        if not self.follows_training:
            return True
        if now <= before:
            return False
        steps = _steps(before, now)
        length = steps * self.every / epochs if self.every else math.ceil(steps / (self.parts or 1))
        return math.floor(round(now * steps) / length) > math.floor(round(before * steps) / length)

    def kept(self, before: float, now: float) -> float:
        """What it keeps of itself where the share that is done goes from one to another.

        >>> ema = Ema("mean", Role("student", nn.Linear(1, 1)), decay=0.7, warmup=True)
        >>> [round(ema.kept(n / 8, (n + 1) / 8), 3) for n in (0, 1, 3, 7)]
        [0.0, 0.37, 0.603, 0.7]
        """
        if not self.warmup:
            return self.decay
        number = round(now * _steps(before, now)) if now > before else 1
        return float(min(self.decay, 1.0 - max(number, 1) ** WARMING))

    @torch.no_grad()
    def follow(self, kept: float | None = None) -> None:
        """Take one step towards the followed role; ``kept``: of itself, the decay if not said."""
        share = 1.0 - (self.decay if kept is None else kept)
        theirs = distinct_tensors(self.of.module)
        for key, value in distinct_tensors(self.module).items():  # what is tied moves once
            target = theirs[key].to(value)
            if not value.is_floating_point():
                value.copy_(target)
            elif isinstance(value, nn.Parameter):
                value.lerp_(target, share)
            else:  # a mask of -inf has no mean with itself
                mean = value.lerp(target, share)
                value.copy_(torch.where(torch.isfinite(target), mean, target))


def _steps(before: float, now: float) -> int:
    """How many steps the training has, of which one lies between these shares."""
    return round(1.0 / (now - before))
