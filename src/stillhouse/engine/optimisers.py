"""Optimisers and schedules of PyTorch, as factories that the engine calls once per update.

A schedule is counted in optimiser steps. Milestones and warm-up are given in epochs.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
ScheduleFactory = Callable[[torch.optim.Optimizer, int, int], LRScheduler]
"""(optimiser, steps in all, steps per epoch) -> scheduler"""

FUSED_DEVICES = ("cpu", "cuda")


def _fused(parameters: Sequence[nn.Parameter]) -> dict[str, Any]:
    """One kernel for the whole update, where every parameter allows it."""
    fits = all(p.device.type in FUSED_DEVICES and p.is_floating_point() for p in parameters)
    return {"fused": True} if parameters and fits else {}


def sgd(
    lr: float = 0.05,
    *,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    nesterov: bool = False,
) -> OptimizerFactory:
    """Stochastic gradient descent. Defaults: the CIFAR-100 recipe of CRD (Tian et al., 2020).

    >>> sgd(0.1)([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"]
    0.1
    """

    def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        known = list(parameters)
        return torch.optim.SGD(
            known,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=nesterov,
            **_fused(known),
        )

    return make


def adamw(
    lr: float = 1e-3,
    *,
    weight_decay: float = 0.05,
    betas: tuple[float, float] = (0.9, 0.999),
) -> OptimizerFactory:
    """AdamW. Weight decay 0.05 and betas: the DeiT recipe; lr: PyTorch's default.

    >>> adamw()([nn.Parameter(torch.zeros(1))]).param_groups[0]["weight_decay"]
    0.05
    """

    def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        known = list(parameters)
        return torch.optim.AdamW(
            known, lr=lr, weight_decay=weight_decay, betas=betas, **_fused(known)
        )

    return make


def _scaled(factor: Callable[[int, int, int], float], warmup: float) -> ScheduleFactory:
    """A LambdaLR whose factor is a pure function of the step, after a linear warm-up."""

    def make(optimizer: torch.optim.Optimizer, steps: int, per_epoch: int) -> LRScheduler:
        rise = round(warmup * per_epoch)

        def at(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return factor(step, steps, per_epoch)

        return LambdaLR(optimizer, at)

    return make


def constant(*, warmup: float = 0.0) -> ScheduleFactory:
    """The learning rate stays; ``warmup`` epochs of linear rise first."""
    return _scaled(lambda _step, _steps, _per_epoch: 1.0, warmup)


def cosine(*, warmup: float = 0.0, end: float = 0.0) -> ScheduleFactory:
    """Half a cosine from 1 to ``end`` (a share of the learning rate) over all steps.

    Paper: Loshchilov & Hutter, "SGDR", arXiv 1608.03983, without restarts.

    >>> optimizer = sgd(1.0)([nn.Parameter(torch.zeros(1))])
    >>> schedule = cosine()(optimizer, 10, 5)
    >>> round(schedule.lr_lambdas[0](5), 4)
    0.5
    """

    def factor(step: int, steps: int, per_epoch: int) -> float:
        rise = round(warmup * per_epoch)
        way = min(max((step - rise) / max(steps - rise, 1), 0.0), 1.0)
        turn = math.pi * way
        return end + (1.0 - end) * 0.5 * (1.0 + math.cos(turn))

    return _scaled(factor, warmup)


def cosine_restarts(cycles: int) -> ScheduleFactory:
    """Half a cosine from 1 to 0, again in each of so many equal parts of the training.

    Paper: Loshchilov & Hutter, "SGDR", arXiv 1608.03983, with cycles of one length.

    >>> schedule = cosine_restarts(2)(sgd(1.0)([nn.Parameter(torch.zeros(1))]), 20, 5)
    >>> [round(schedule.lr_lambdas[0](step), 2) for step in (0, 5, 9, 10, 15)]
    [1.0, 0.5, 0.02, 1.0, 0.5]
    """

    def factor(step: int, steps: int, _per_epoch: int) -> float:
        length = math.ceil(steps / cycles)
        return 0.5 * (1.0 + math.cos(math.pi * (step % length) / length))

    return _scaled(factor, 0.0)


def multi_step(
    milestones: Sequence[float] = (150, 180, 210), *, gamma: float = 0.1, warmup: float = 0.0
) -> ScheduleFactory:
    """Times ``gamma`` at each milestone (epochs). Defaults: the 240 epochs of CRD's CIFAR-100.

    >>> optimizer = sgd(1.0)([nn.Parameter(torch.zeros(1))])
    >>> schedule = multi_step([1, 2])(optimizer, 15, 5)
    >>> [round(schedule.lr_lambdas[0](step), 2) for step in (4, 5, 10)]
    [1.0, 0.1, 0.01]
    """

    def factor(step: int, _steps: int, per_epoch: int) -> float:
        return float(gamma ** sum(step >= round(m * per_epoch) for m in milestones))

    return _scaled(factor, warmup)


def one_cycle(*, rise: float = 0.3) -> ScheduleFactory:
    """Up and down once, PyTorch's OneCycleLR with the optimiser's rate as its peak.

    ``rise`` is the share of steps that go up (0.3: PyTorch's default). Momentum is left alone, so
    that it is the same knob under every schedule.

    Paper: Smith & Topin, "Super-Convergence", arXiv 1708.07120.
    """

    def make(optimizer: torch.optim.Optimizer, steps: int, _per_epoch: int) -> LRScheduler:
        peak = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(
            optimizer, max_lr=peak, total_steps=steps + 1, pct_start=rise, cycle_momentum=False
        )

    return make
