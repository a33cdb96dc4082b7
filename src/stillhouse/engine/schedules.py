"""Schedules of the learning rate, as factories that the engine calls once per update.

A schedule is counted in optimiser steps. Milestones and warm-up are given in epochs, and must lie
within the training.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le, Lt, MinLen
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from stillhouse.engine.settings import Positive, Share, Weight, checked_as
from stillhouse.errors import RecipeError

ScheduleFactory = Callable[[torch.optim.Optimizer, int, int], LRScheduler]
"""(optimiser, steps in all, steps per epoch) -> scheduler"""

Factor = Annotated[float, Gt(0), Le(1)]
"""What the learning rate is multiplied by: it neither vanishes nor grows."""
Cycles = Annotated[int, Ge(1), Le(1_000_000)]
Epochs = Weight
"""A number of epochs; it may be a fraction."""


def never_reached(settings: Mapping[str, Any], epochs: float) -> str | None:
    """What of a schedule lies beyond a training of so many epochs; None when nothing does.

    Args:
        settings: of the schedule; ``warmup``, ``milestones`` and ``every`` are in epochs.
        epochs: of the training.

    >>> never_reached({"milestones": [15, 40]}, 30)
    'milestone 40 is never reached in 30 epochs; give milestones below 30'
    >>> never_reached({"warmup": 2.0, "milestones": (15, 20)}, 30) is None
    True
    """
    warmup, every = settings.get("warmup") or 0, settings.get("every")
    milestones = list(settings.get("milestones") or ())
    if warmup >= epochs:
        return (
            f"a warm-up of {warmup:g} epochs never ends in {epochs:g}; give a warmup below "
            f"{epochs:g}"
        )
    if every is not None and every >= epochs:
        return (
            f"a step every {every:g} epochs is never reached in {epochs:g}; give every below "
            f"{epochs:g}"
        )
    late = [f"{each:g}" for each in milestones if each >= epochs]
    if late:
        what, are = ("milestones", "are") if len(late) > 1 else ("milestone", "is")
        there = f"{what} {', '.join(late)} {are} never reached in {epochs:g} epochs"
        if len(late) == len(milestones) == len(CRD):
            share = [f"{each * epochs / CRD_EPOCHS:g}" for each in CRD]
            return f"{there}; give milestones below {epochs:g}, such as [{', '.join(share)}]"
        return f"{there}; give milestones below {epochs:g}"
    early = [f"{each:g}" for each in milestones if each < warmup]
    if early:
        return f"milestone {early[0]} lies within the warm-up of {warmup:g} epochs; give later ones"
    return None


def _within(settings: Mapping[str, Any], steps: int, per_epoch: int, name: str) -> None:
    problem = never_reached(settings, steps / per_epoch)
    if problem:
        raise RecipeError(f"schedule '{name}'", [problem])


def _scaled(
    name: str, factor: Callable[[int, int, int], float], warmup: float, **settings: Any
) -> ScheduleFactory:
    """A LambdaLR whose factor is a pure function of the step, after a linear warm-up."""

    def make(optimizer: torch.optim.Optimizer, steps: int, per_epoch: int) -> LRScheduler:
        _within({"warmup": warmup, **settings}, steps, per_epoch, name)
        rise = round(warmup * per_epoch)

        def at(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return factor(step, steps, per_epoch)

        return LambdaLR(optimizer, at)

    return make


@checked_as("schedule")
def constant(*, warmup: Epochs = 0.0) -> ScheduleFactory:
    """The learning rate stays; ``warmup`` epochs of linear rise first.

    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> [constant(warmup=1)(optimizer, 10, 5).lr_lambdas[0](step) for step in (0, 4, 9)]
    [0.2, 1.0, 1.0]
    """
    return _scaled("constant", lambda _step, _steps, _per_epoch: 1.0, warmup)


@checked_as("schedule")
def cosine(*, warmup: Epochs = 0.0, end: Share = 0.0) -> ScheduleFactory:
    """Half a cosine from 1 to ``end`` (a share of the learning rate) over all steps.

    Paper: Loshchilov & Hutter, "SGDR", arXiv 1608.03983, without restarts.

    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = cosine()(optimizer, 10, 5)
    >>> round(schedule.lr_lambdas[0](5), 4)
    0.5
    """

    def factor(step: int, steps: int, per_epoch: int) -> float:
        rise = round(warmup * per_epoch)
        way = min(max((step - rise) / max(steps - rise, 1), 0.0), 1.0)
        turn = math.pi * way
        return end + (1.0 - end) * 0.5 * (1.0 + math.cos(turn))

    return _scaled("cosine", factor, warmup)


@checked_as("schedule")
def cosine_restarts(cycles: Cycles) -> ScheduleFactory:
    """Half a cosine from 1 to 0, again in each of so many equal parts of the training.

    Paper: Loshchilov & Hutter, "SGDR", arXiv 1608.03983, with cycles of one length.

    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = cosine_restarts(2)(optimizer, 20, 5)
    >>> [round(schedule.lr_lambdas[0](step), 2) for step in (0, 5, 9, 10, 15)]
    [1.0, 0.5, 0.02, 1.0, 0.5]
    """

    def factor(step: int, steps: int, _per_epoch: int) -> float:
        length = math.ceil(steps / cycles)
        return 0.5 * (1.0 + math.cos(math.pi * (step % length) / length))

    return _scaled("cosine_restarts", factor, 0.0)


CRD, CRD_EPOCHS = (150, 180, 210), 240
"""The milestones of CRD's CIFAR-100 comparison (Tian et al., 2020), and its epochs."""


@checked_as("schedule")
def multi_step(
    milestones: Annotated[tuple[Positive, ...], MinLen(1)] = CRD,
    *,
    gamma: Factor = 0.1,
    warmup: Epochs = 0.0,
) -> ScheduleFactory:
    """Times ``gamma`` at each milestone (epochs). Defaults: the 240 epochs of CRD's CIFAR-100.

    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = multi_step([1, 2])(optimizer, 15, 5)
    >>> [round(schedule.lr_lambdas[0](step), 2) for step in (4, 5, 10)]
    [1.0, 0.1, 0.01]
    """

    def factor(step: int, _steps: int, per_epoch: int) -> float:
        return float(gamma ** sum(step >= round(m * per_epoch) for m in milestones))

    return _scaled("multi_step", factor, warmup, milestones=milestones)


@checked_as("schedule")
def step(every: Positive = 30.0, *, gamma: Factor = 0.1, warmup: Epochs = 0.0) -> ScheduleFactory:
    """Times ``gamma`` every so many epochs. Defaults: the 90 epochs of ResNets on ImageNet.

    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = step(1)(optimizer, 15, 5)
    >>> [round(schedule.lr_lambdas[0](number), 2) for number in (4, 5, 10)]
    [1.0, 0.1, 0.01]
    """

    def factor(number: int, _steps: int, per_epoch: int) -> float:
        return float(gamma ** math.floor(number / (every * per_epoch)))

    return _scaled("step", factor, warmup, every=every)


@checked_as("schedule")
def one_cycle(*, rise: Annotated[float, Gt(0), Lt(1)] = 0.3) -> ScheduleFactory:
    """Up and down once, PyTorch's OneCycleLR with the optimiser's rate as its peak.

    ``rise`` is the share of steps that go up (0.3: PyTorch's default). Momentum is left alone, so
    that it is the same knob under every schedule.

    Paper: Smith & Topin, "Super-Convergence", arXiv 1708.07120.

    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> round(one_cycle()(optimizer, 10, 5).get_last_lr()[0], 4)
    0.04
    """

    def make(optimizer: torch.optim.Optimizer, steps: int, _per_epoch: int) -> LRScheduler:
        if rise * (steps + 1) <= 1:
            said = f"a rise of {rise:g} of {steps} steps is less than a step"
            raise RecipeError("schedule 'one_cycle'", [f"{said}; train longer, or let it be more"])
        peak = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(
            optimizer, max_lr=peak, total_steps=steps + 1, pct_start=rise, cycle_momentum=False
        )

    return make


SCHEDULES = (cosine, multi_step, step, one_cycle, constant)
"""What a recipe can name."""


def schedule_names() -> Sequence[str]:
    """What a recipe can name.

    >>> schedule_names()[0]
    'cosine'
    """
    return [each.__name__ for each in SCHEDULES]
