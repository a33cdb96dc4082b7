"""Plain PyTorch beside the engine: a stage, and the loop that one would write for it.

Both start from the same weights, see the same batches, draw the same random numbers and step by SGD
at the same rate. A test writes down the objective and who learns.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import FitResult, fit
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import open_platform
from stillhouse.engine.schedules import constant
from stillhouse.engine.seeding import StepSeeds
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire

SEED, RATE, EPOCHS = 7, 0.05, 2
SGD = partial(torch.optim.SGD, lr=RATE, momentum=0.9, weight_decay=5e-4)

Nets = dict[str, nn.Module]
Batch = Mapping[str, Tensor]
Objective = Callable[[Nets, Batch, float], Tensor | Sequence[Tensor] | Iterator[Tensor]]
"""Of modules by name, a batch and the fractional epoch: a loss; or one for each optimiser, that
step together; or a generator of those, each computed after the step of the one before."""


def equals_by_hand(
    stage: Stage,
    train: Batches,
    objective: Objective,
    *,
    learning: Sequence[str] | Sequence[Sequence[str]] = ("student",),
    tolerance: tuple[float, float] = (1e-5, 1e-5),
    epochs: int = EPOCHS,
    optimizers: Sequence[Callable[..., torch.optim.Optimizer]] = (),
    rate: Callable[[int], float] | None = None,
    validation: Batches | None = None,
) -> tuple[Stage, FitResult]:
    """Train a stage, and copies of its modules by hand: all must end with the same weights.

    Args:
        stage: what a method composed.
        train: batches of both.
        objective: of the copies; a node's by its name, a loss that learns by that of its term.
        learning: the names of what learns; groups of names where there are several optimisers.
        tolerance: absolute and relative, between the weights of both.
        epochs: of both.
        optimizers: of the groups, where they are not `SGD`.
        rate: of learning by step, where the stage brings a schedule.
        validation: for the fit.

    Returns:
        The stage as it was trained, and what the fit gave.
    """
    stage = wired(stage, train)
    nets = copy.deepcopy(modules(stage))
    one = all(isinstance(name, str) for name in learning)
    groups = [learning] if one else learning
    for name, net in nets.items():
        net.train(any(name in group for group in groups))
    given = [[p for name in group for p in nets[name].parameters()] for group in groups]
    makers = optimizers or [SGD] * len(groups)
    steppers = [make(parameters) for make, parameters in zip(makers, given, strict=True)]
    seeds, step = StepSeeds(SEED, "step", 0), 0
    for epoch in range(epochs):
        for batch in train.epoch(epoch, order=stage.order):
            seeds.enter(step)
            for group in (group for each in steppers for group in each.param_groups):
                group["lr"] = rate(step) if rate else group["lr"]
            _step(objective(nets, batch, step / len(train)), steppers)
            step += 1
    fitted = trained(stage, train, epochs=epochs, validation=validation)
    for name, net in nets.items():
        same(modules(stage)[name], net, *tolerance, where=name)
    return stage, fitted


def _step(
    losses: Tensor | Sequence[Tensor] | Iterator[Tensor], steppers: Sequence[torch.optim.Optimizer]
) -> None:
    if isinstance(losses, Iterator):
        for stepper in steppers:
            next(losses).backward()
            stepper.step()
            for each in steppers:  # also what passed through the others' parameters
                each.zero_grad()
        assert next(losses, None) is None, "what it does after the last step, such as an average"
        return
    values = [losses] if isinstance(losses, Tensor) else losses
    assert len(values) == len(steppers)
    for value in values:
        value.backward()
    for stepper in steppers:
        stepper.step()
        stepper.zero_grad()


def modules(stage: Stage) -> Nets:
    """The modules of nodes and of losses that learn, by the names of nodes and terms."""
    parts = (*stage.nodes, *stage.terms())
    return {part.name: part.module for part in parts if part.module is not None}


def wired(stage: Stage, train: Batches) -> Stage:
    """Whole, with bridges of their sizes and first weights."""
    whole = stage.completed(facts_of(train))
    wire(whole, train.sample(), seed=SEED)
    return whole


def trained(
    stage: Stage,
    train: Batches,
    *,
    epochs: int = EPOCHS,
    validation: Batches | None = None,
    **settings: Any,
) -> FitResult:
    """The stage trained by the engine, on the CPU in float32."""
    fixed = {"seed": SEED, "optimizer": sgd(RATE), "schedule": constant(), "channels_last": False}
    platform = open_platform(device="cpu", precision="fp32")
    given = Settings(epochs=epochs, **{**fixed, **settings})
    return fit(stage, train, settings=given, platform=platform, validation=validation)


def same(
    mine: nn.Module, theirs: nn.Module, atol: float = 0.0, rtol: float = 0.0, *, where: str = ""
) -> None:
    """Equal tensor by tensor: to the last bit, or up to a tolerance."""
    pairs = zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True)
    for (name, a), b in pairs:
        torch.testing.assert_close(
            a, b, atol=atol, rtol=rtol, msg=lambda said, at=f"{where}.{name}": f"{at}: {said}"
        )


def labels(logits: Tensor, batch: Batch) -> Tensor:
    """The cross-entropy with the labels, from the definition."""
    return -logits.log_softmax(1).gather(1, batch["batch.label"][:, None]).mean()


def softened(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T^2 KL(teacher, student)`` at a temperature, from the definition; a mean over examples."""
    p, log_q = (teacher / temperature).softmax(1), (student / temperature).log_softmax(1)
    return temperature**2 * (p * (p.log() - log_q)).sum(1).mean()


def of_toy(net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The two maps of the toy network, and its logits."""
    early = net.relu(net.bn(net.conv(batch["batch.image"])))
    late = net.down(early)
    return early, late, net.fc(net.drop(late.mean((2, 3))))


def of_tiny(net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The map of the tiny network, its embedding, and its logits."""
    seen = net.relu(net.bn(net.conv(batch["batch.image"])))
    embedding = net.drop(seen.mean((2, 3)))
    return seen, embedding, net.fc(embedding)


def frozen(
    run: Callable[[nn.Module, Batch], tuple[Tensor, ...]], net: nn.Module, batch: Batch
) -> tuple[Tensor, ...]:
    """What a network gives, as constants."""
    with torch.no_grad():
        return run(net, batch)
