"""Methods of maps by hand: the toy network's maps, and the loop that one would write."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import open_platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.testing.toy import ToyNet, toy_batches, untaught

EPOCHS, RATE = 2, 0.05
Loss = Callable[[Tensor, Tensor, float], Sequence[Tensor]]


def student_of(width: int) -> ToyNet:
    """Untrained, without dropout: two loops then see the same network."""
    net = untaught(width)
    net.drop.p = 0.0
    return net


def run(net: nn.Module, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two maps of the toy network, and its logits."""
    early = net.relu(net.bn(net.conv(image)))
    late = net.down(early)
    return early, late, net.fc(net.drop(late.mean((2, 3))))


def opened_stage(stage: Stage) -> Stage:
    """Complete, with bridges of their sizes and first weights."""
    whole = stage.completed(facts_of(toy_batches()))
    wire(whole, toy_batches().sample(), seed=3)
    return whole


def fitted(stage: Stage) -> list[dict]:
    settings = Settings(
        epochs=EPOCHS, seed=3, optimizer=sgd(RATE), schedule=constant(), channels_last=False
    )
    return fit(
        stage,
        toy_batches(),
        settings=settings,
        platform=open_platform(device="cpu", precision="fp32"),
    ).history


def looped(groups: Sequence[Sequence[nn.Module]], losses: Loss) -> None:
    """Plain PyTorch; one optimiser for each group of modules, with the loss of the same number.

    ``losses`` takes images, labels and the share of the training that is done.
    """
    optimizers = []
    for group in groups:
        parameters = [p for module in group for p in module.train().parameters()]
        optimizers.append(torch.optim.SGD(parameters, RATE, momentum=0.9, weight_decay=5e-4))
    batches = toy_batches()
    for epoch in range(EPOCHS):
        for step, batch in enumerate(batches.epoch(epoch)):
            done = (epoch + step / len(batches)) / EPOCHS
            values = losses(batch["batch.image"], batch["batch.label"], done)
            for loss, optimizer in zip(values, optimizers, strict=True):
                optimizer.zero_grad()
                loss.backward()
            for optimizer in optimizers:
                optimizer.step()


def assert_close(mine: nn.Module, theirs: nn.Module) -> None:
    for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(
            a, b, atol=2e-5, rtol=2e-5, msg=lambda said, name=name: f"{name}: {said}"
        )
