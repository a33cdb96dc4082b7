"""A stage as the loop that one would write by hand: same start, same batches, same optimiser."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.seeding import StepSeeds
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire

SEED, RATE = 7, 0.05
Nets = dict[str, nn.Module]
Objective = Callable[[Nets, Tensor, Tensor, float], Tensor]
"""Of all modules (nodes and losses by name), images, labels and the fractional epoch."""


def modules(stage: Stage) -> Nets:
    nodes = {node.name: node.module for node in stage.nodes}
    losses = {term.name: term.module for term in stage.terms()}
    return {name: module for name, module in {**nodes, **losses}.items() if module is not None}


def equals_by_hand(
    stage: Stage, train: Batches, platform: Platform, objective: Objective, *, epochs: int = 2
) -> Nets:
    """Train the stage, and copies of its modules by hand; gives the copies, which must be equal."""
    stage = stage.completed(facts_of(train))
    wire(stage, train.sample(), seed=SEED)
    nets = copy.deepcopy(modules(stage))
    learning = [*stage.learners, *(term.name for term in stage.terms())]
    parameters = [p for name in learning if name in nets for p in nets[name].parameters()]
    optimizer = torch.optim.SGD(parameters, RATE, momentum=0.9, weight_decay=5e-4)
    seeds = StepSeeds(SEED, "step", 0)
    for name, net in nets.items():
        net.train(name in learning)
    step, per_epoch = 0, len(train)
    for epoch in range(epochs):
        for batch in train.epoch(epoch):
            seeds.enter(step)
            objective(nets, batch["batch.image"], batch["batch.label"], step / per_epoch).backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    given = Settings(
        epochs=epochs,
        seed=SEED,
        optimizer=sgd(RATE),
        schedule=constant(),
        channels_last=False,
    )
    fit(stage, train, settings=given, platform=platform)
    trained = modules(stage)
    for name, net in nets.items():
        for key, value in net.state_dict().items():
            mine = trained[name].state_dict()[key]
            torch.testing.assert_close(
                mine,
                value,
                atol=2e-5,
                rtol=2e-4,
                msg=lambda said, at=f"{name}.{key}": f"{at}: {said}",
            )
    return nets
