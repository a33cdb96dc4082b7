"""Be your own teacher: a hand-written loop over two exits, what is kept, what is told."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import ModelError, RecipeError
from stillhouse.methods import byot

EPOCHS, ALPHA, T, FEATURE = 2, 0.3, 2.0, 0.5


class Deep(nn.Module):
    """Three resolutions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.ReLU())
        self.three = nn.Sequential(nn.Conv2d(5, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6))
        self.fc = nn.Linear(6, 3)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.three(self.two(self.one(image))).mean((2, 3)))
        return logits


def branch(x: Tensor, bridge: nn.Module) -> Tensor:
    x = F.conv2d(x, bridge.conv.weight, stride=2, padding=1)
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    x = (x - mean) / (var + 1e-5).sqrt()
    x = x * bridge.norm.weight[:, None, None] + bridge.norm.bias[:, None, None]
    return x.clamp(min=0).mean((2, 3))


def test_it_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    student = Deep()
    stage = byot(student, alpha=ALPHA, temperature=T, feature_weight=FEATURE).completed(
        facts_of(train)
    )
    wire(stage, train.sample())  # builds the branches
    net = copy.deepcopy(student).train()
    names = ["branch_1", "exit_1", "branch_2", "exit_2"]
    mine = {name: copy.deepcopy(stage.node(name).module).train() for name in names}
    every = [p for module in (net, *mine.values()) for p in module.parameters()]
    optimizer = torch.optim.SGD(every, 0.1, momentum=0.9, weight_decay=5e-4)
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            label = batch["batch.label"]
            one = net.one(batch["batch.image"])
            two = net.two(one)
            deep = net.three(two).mean((2, 3))
            logits = net.fc(deep)
            loss = F.cross_entropy(logits, label)
            soft = F.softmax(logits.detach() / T, 1)
            for at, x in ((1, one), (2, two)):
                feature = branch(x, mine[f"branch_{at}"])
                left = mine[f"exit_{at}"](feature)
                kl = (soft * (soft.log() - F.log_softmax(left / T, 1))).sum(1).mean() * T**2
                loss = loss + (1 - ALPHA) * F.cross_entropy(left, label) + ALPHA * kl
                loss = loss + FEATURE * (feature - deep.detach()).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    settings = Settings(EPOCHS, optimizer=sgd(0.1), schedule=constant(), channels_last=False)
    fit(stage, train, settings=settings, platform=platform)
    theirs = {"student": net, **mine}
    for name, module in theirs.items():
        trained = stage.node(name).module
        for (key, a), b in zip(trained.named_parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=f"{name}.{key}")


def test_exits_are_measured_and_dropped(train: Batches, platform: Platform) -> None:
    stage = byot(Deep())
    fitted = fit(stage, train, settings=Settings(1), platform=platform, validation=train)
    assert list(fitted.history[-1]["validation"]) == ["student", "exit 1", "exit 2"]
    Deep().load_state_dict(fitted.last["student"], strict=True)
    whole = stage.completed(facts_of(train))
    assert whole.notes == {"exits": "one, two"}
    assert (whole.keeps, dict(whole.products)) == ("student", {})
    assert [term.name for term in whole.terms()] == [
        "label", "label_1", "kd_1", "feature_1", "label_2", "kd_2", "feature_2",
    ]  # fmt: skip


def test_a_network_of_one_resolution_is_told(train: Batches) -> None:
    with pytest.raises(ModelError, match=r"TinyNet works at one resolution .* leave early"):
        byot(tiny_net()).completed(facts_of(train))


def test_what_is_out_of_range_or_not_there_is_told() -> None:
    with pytest.raises(RecipeError, match=r"alpha is 2\.0; it must be at most 1"):
        byot(tiny_net(), alpha=2.0)
    with pytest.raises(ModelError, match=r"fcc.*nearest: fc"):
        byot(tiny_net(), student_head="fcc")
