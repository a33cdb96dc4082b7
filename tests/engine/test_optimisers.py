"""Schedules are those of PyTorch, step by step."""

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from stillhouse.engine.optimisers import adamw, sgd
from stillhouse.engine.schedules import constant, cosine, multi_step, one_cycle, step
from stillhouse.errors import RecipeError

RATE = 0.3
EPOCHS, PER_EPOCH = 6, 7
STEPS = EPOCHS * PER_EPOCH


def weight() -> nn.Parameter:
    return nn.Parameter(torch.zeros(2))


def rates(optimizer: torch.optim.Optimizer, scheduler: lr_scheduler.LRScheduler) -> list[float]:
    """The learning rate of each step of a fit, and the one that would follow."""
    seen = []
    for _ in range(STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [*seen, optimizer.param_groups[0]["lr"]]


def theirs(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]) -> list[float]:
    optimizer = torch.optim.SGD([weight()], RATE)
    return rates(optimizer, make(optimizer))


def warm(optimizer: torch.optim.Optimizer, rise: int, after: object) -> lr_scheduler.LRScheduler:
    """LinearLR reaches the full rate after ``rise`` steps, counted from 1 / rise."""
    first = lr_scheduler.LinearLR(optimizer, 1 / rise, 1.0, total_iters=rise - 1)
    return lr_scheduler.SequentialLR(optimizer, [first, after], [rise])


CASES = {
    "constant": (constant(), lambda o: lr_scheduler.ConstantLR(o, 1.0, 1)),
    "cosine": (cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
    "cosine to an end": (
        cosine(end=0.1),
        lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1 * RATE),
    ),
    "steps": (
        multi_step([2, 4, 5], gamma=0.2),
        lambda o: lr_scheduler.MultiStepLR(o, [14, 28, 35], gamma=0.2),
    ),
    "every two epochs": (step(2, gamma=0.5), lambda o: lr_scheduler.StepLR(o, 14, gamma=0.5)),
    "half epochs": (
        multi_step([1.5, 1.5]),
        lambda o: lr_scheduler.MultiStepLR(o, [10, 10]),
    ),
    "one cycle": (
        one_cycle(rise=0.4),
        lambda o: lr_scheduler.OneCycleLR(
            o, RATE, total_steps=STEPS + 1, pct_start=0.4, cycle_momentum=False
        ),
    ),
    "warm constant": (
        constant(warmup=2),
        lambda o: warm(o, 14, lr_scheduler.ConstantLR(o, 1.0, 1)),
    ),
    "warm cosine": (
        cosine(warmup=2),
        lambda o: warm(o, 14, lr_scheduler.CosineAnnealingLR(o, STEPS - 14)),
    ),
    "warm steps": (
        multi_step([3], warmup=1),
        lambda o: warm(o, 7, lr_scheduler.MultiStepLR(o, [14])),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_rate_is_that_of_pytorch(case: str) -> None:
    make, reference = CASES[case]
    optimizer = sgd(RATE)([weight()])
    mine = rates(optimizer, make(optimizer, STEPS, PER_EPOCH))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR warns of itself
        wanted = theirs(reference)
    # The recursive form of PyTorch's cosine gathers rounding errors.
    assert mine == pytest.approx(wanted, abs=1e-9)
    assert len(set(mine)) > 1 or case == "constant"


def test_a_warm_up_begins_above_zero_and_ends_at_the_full_rate() -> None:
    optimizer = sgd(RATE)([weight()])
    mine = rates(optimizer, constant(warmup=1)(optimizer, STEPS, PER_EPOCH))
    assert mine[:8] == pytest.approx([RATE * min(k / 7, 1) for k in range(1, 9)])


def test_a_cosine_ends_at_its_end() -> None:
    optimizer = sgd(RATE)([weight()])
    mine = rates(optimizer, cosine(warmup=1, end=0.25)(optimizer, STEPS, PER_EPOCH))
    assert mine[-1] == pytest.approx(0.25 * RATE)
    half = 7 + (STEPS - 7) // 2
    way = (half - 7) / (STEPS - 7)
    assert mine[half] == pytest.approx(RATE * (0.25 + 0.375 * (1 + math.cos(math.pi * way))))


@pytest.mark.parametrize("case", ["warm cosine", "warm steps", "one cycle"])
@pytest.mark.parametrize("make", [sgd(RATE), adamw(RATE)])
def test_a_schedule_goes_on_from_its_state(case: str, make) -> None:
    """As a stepper saves it: without the lambdas, which come from the recipe."""
    schedule = CASES[case][0]

    def start() -> tuple[torch.optim.Optimizer, lr_scheduler.LRScheduler]:
        optimizer = make([weight()])
        return optimizer, schedule(optimizer, STEPS, PER_EPOCH)

    whole = rates(*start())
    optimizer, scheduler = start()
    for _ in range(20):
        optimizer.step()
        scheduler.step()
    saved = optimizer.state_dict(), scheduler.state_dict()
    optimizer, scheduler = start()
    optimizer.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    seen = []
    for _ in range(20, STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert seen == whole[20:-1]


def test_optimisers_are_those_of_pytorch_with_their_knobs() -> None:
    group = sgd(0.1, momentum=0.8, weight_decay=0.01, nesterov=True)([weight()]).param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.8, 0.01)
    assert group["nesterov"]
    made = adamw(0.1, weight_decay=0.2, betas=(0.8, 0.9))(iter([weight()]))
    assert isinstance(made, torch.optim.AdamW)
    group = made.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.1, (0.8, 0.9), 0.2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: one_cycle(rise=1.5), "rise is 1.5; it must be below 1"),
        (lambda: multi_step([1], gamma=-0.1), "gamma is -0.1; it must be above 0"),
        (lambda: multi_step([1], gamma=2.0), "at most 1"),
        (lambda: multi_step([]), "at least 1"),
        (lambda: multi_step([0]), "above 0"),
        (lambda: cosine(warmup=float("nan")), "finite"),
        (lambda: cosine(end=2.0), "at most 1"),
        (lambda: step(0), "above 0"),
    ],
)
def test_a_setting_of_a_schedule_has_a_range(make, said: str) -> None:
    with pytest.raises(RecipeError, match="schedule '") as caught:
        make()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (multi_step(), "milestones 150, 180, 210 are never reached in 6 epochs; give milestones "
         "below 6, such as [3.75, 4.5, 5.25]"),
        (multi_step([2, 6]), "milestone 6 is never reached in 6"),
        (multi_step([2, 4], warmup=3), "milestone 2 lies within the warm-up of 3"),
        (constant(warmup=6), "a warm-up of 6 epochs never ends in 6"),
        (cosine(warmup=7), "a warm-up of 7 epochs never ends in 6"),
        (step(6), "a step every 6 epochs is never reached in 6"),
    ],
)  # fmt: skip
def test_what_lies_beyond_the_training_is_refused(schedule, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        schedule(sgd(RATE)([weight()]), STEPS, PER_EPOCH)
    assert said in str(caught.value)


def test_a_rise_of_less_than_a_step_is_refused() -> None:
    with pytest.raises(RecipeError, match="less than a step"):  # PyTorch divides by zero here
        one_cycle(rise=0.25)(sgd(RATE)([weight()]), 3, 1)


@pytest.mark.parametrize("make", [sgd(RATE, nesterov=True), adamw(RATE)])
def test_fused_updates_equal_plain_ones(make) -> None:
    mine, other = weight(), weight()
    fused = make([mine])
    assert fused.defaults["fused"]
    plain = type(fused)([other], lr=RATE)
    plain.param_groups[0].update({**fused.defaults, "fused": False})
    for number in range(5):
        for p in (mine, other):
            p.grad = torch.tensor([1.0, -2.0]) * (number + 1)
        fused.step()
        plain.step()
    torch.testing.assert_close(mine, other)
