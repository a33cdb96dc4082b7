"""ONE: a hand-written training, where branches leave, what is kept and handed over."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import nn

from stillhouse.bridges import shuffled, tail_of
from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.seeding import StepSeeds, seeded
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import ModelError, RecipeError, WiringError
from stillhouse.methods import one
from stillhouse.models import build_model

RATE, EPOCHS, SEED, T = 0.1, 2, 7, 2.0


def settings(**changes: object) -> Settings:
    fixed = {"epochs": EPOCHS, "seed": SEED, "optimizer": sgd(RATE), "schedule": constant()}
    return Settings(**{**fixed, "channels_last": False, **changes})


def colour_images(side: int = 16) -> Batches:
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (12, side, side, 3), generator=made).to(torch.uint8)
    augment = Augment((0.5,) * 3, (0.25,) * 3, crop=0, flip=False)
    return Batches(ImageTable(images, torch.arange(12) % 3), augment, batch_size=4)


class ByHand(nn.Module):
    """The tiny net with two more heads behind its ReLU, and the gate of the paper."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        with seeded(SEED, "fit"):
            with seeded(SEED, "init", "branch1"):
                self.first = shuffled(tail_of(net, "relu"))
            with seeded(SEED, "init", "branch2"):
                self.second = shuffled(tail_of(net, "relu"))
            with seeded(SEED, "init", "gate"):
                self.gate = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
        self.train()

    def forward(self, image):
        features = self.net.relu(self.net.bn(self.net.conv(image)))
        own = self.net.fc(self.net.drop(features.mean((2, 3))))
        shares = self.gate(features.mean((2, 3))).softmax(1)
        logits = [own, self.first(features), self.second(features)]
        return logits, sum(g[:, None] * z for g, z in zip(shares.unbind(1), logits, strict=True))


def test_it_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    """With dropout in each branch, in the order in which they run, and a weight that grows."""
    student = tiny_net(4, 1, dropout=0.3)
    byhand = ByHand(copy.deepcopy(student))
    optimizer = torch.optim.SGD(
        byhand.parameters(), RATE, momentum=0.9, weight_decay=5e-4, fused=True
    )
    seeds, steps = StepSeeds(SEED, "step", 0), EPOCHS * len(train)
    at = 0
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            seeds.enter(at)
            logits, mixed = byhand(batch["batch.image"])
            label = batch["batch.label"]
            hard = sum(F.cross_entropy(z, label) for z in [*logits, mixed])
            q = (mixed.detach() / T).softmax(1)
            soft = sum((q * (q.log() - (z / T).log_softmax(1))).sum(1).mean() for z in logits)
            grown = 0.7 * math.exp(-5 * (1 - min(at / steps / 0.5, 1)) ** 2)
            (0.5 * hard + grown * T**2 * soft).backward()
            optimizer.step()
            optimizer.zero_grad()
            at += 1
    stage = one(student, tap="relu", temperature=T, weight=0.7, label_weight=0.5, rampup=0.5)
    fitted = fit(stage, train, settings=settings(), platform=platform, validation=train)
    found = {
        **{f"net.{k}": v for k, v in fitted.last["student"].items()},
        **{f"first.{k}": v for k, v in fitted.last["branch1"].items()},
        **{f"second.{k}": v for k, v in fitted.last["branch2"].items()},
    }
    wanted = byhand.state_dict()
    assert {key for key in wanted if not key.startswith("gate")} == set(found)
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], atol=1e-5, rtol=1e-5, msg=name)
    gate = fitted.last["gate"]
    torch.testing.assert_close(gate["fc.weight"], wanted["gate.0.weight"], atol=1e-5, rtol=1e-5)
    validation = fitted.history[-1]["validation"]
    assert list(validation) == ["student", "branch 1", "branch 2", "ensemble"]


@pytest.mark.parametrize(
    ("name", "tap", "first"),
    [("resnet8", "layer2", "layer3.0.conv1.weight"), ("convnet-4-8-16", "layer1", None)],
)
def test_branches_leave_at_the_last_level_but_one(name: str, tap: str, first: str | None) -> None:
    student = build_model(name, classes=3)
    stage = one(student)
    with pytest.raises(WiringError, match="no node 'branch1'"):
        stage.node("branch1")  # nobody knows yet where
    whole = stage.completed(facts_of(colour_images()))
    assert whole.notes == {"branches leave at": tap}
    wire(whole, colour_images().sample())
    found = whole.node("branch1").module.state_dict()
    before = student.state_dict()
    assert set(found) < set(before)
    if first:
        assert next(iter(found)) == first
    one_of, other = (whole.node(f"branch{n}").module.fc.weight for n in (1, 2))
    assert not torch.equal(one_of, other), "each draws weights of its own"
    assert torch.equal(one_of.flatten().sort()[0], student.fc.weight.flatten().sort()[0])


def test_the_defaults_are_golden() -> None:
    """Three branches, T 3, and 80 of 300 epochs to grow: the released code."""
    stage = one(tiny_net(), tap="relu").completed(facts_of(colour_images()))
    terms = {term.name: term for term in stage.terms()}
    assert list(terms) == [
        "label", "label_branch1", "label_branch2", "label_ensemble",
        "kd", "kd_branch1", "kd_branch2",
    ]  # fmt: skip
    assert terms["kd"].options == {"temperature": 3.0}
    weights = [terms["kd"].weight_at(epoch, 300) for epoch in (0, 40, 81, 300)]
    assert weights == pytest.approx([math.exp(-5), math.exp(-1.25), 1.0, 1.0], abs=2e-3)
    assert (stage.keeps, set(stage.products)) == ("student", {"ensemble"})


def test_the_ensemble_is_a_model_of_its_own(platform: Platform) -> None:
    """Also after the stage: it shares nothing with the student, and needs no hooks."""
    data, student = colour_images(), build_model("resnet8", classes=3)
    stage = one(student, branches=1).completed(facts_of(data))
    fitted = fit(stage, data, settings=settings(epochs=1), platform=platform, validation=data)
    ensemble = stage.products["ensemble"]().eval()
    assert not {id(p) for p in ensemble.parameters()} & {id(p) for p in student.parameters()}
    loss = 0.0
    with torch.no_grad():
        for batch in data.once():
            logits = ensemble(batch["batch.image"])
            loss = F.cross_entropy(logits, batch["batch.label"]).item()
    assert loss == pytest.approx(fitted.history[-1]["validation"]["ensemble"]["loss"], rel=1e-4)
    kept = build_model("resnet8", classes=3)
    kept.load_state_dict(fitted.last["student"], strict=True)


def test_a_student_that_asks_for_the_size_of_its_images(platform: Platform) -> None:
    """VGG leaves out a pool for small images: an example decides, of the size of the data."""
    data, student = colour_images(32), build_model("vgg8", classes=3)
    stage = one(student, branches=1).completed(facts_of(data))
    wire(stage, data.sample())
    assert stage.products["ensemble"]()(data.sample()["batch.image"]).shape == (4, 3)


@pytest.mark.parametrize("tap", [None, "layer1"])
def test_branches_of_a_student_that_reads_its_own_form_of_the_image(tap: str | None) -> None:
    data, student = colour_images(), build_model("convnet-4-8-16", classes=3, channels=1)
    grey = Bridge("grey", lambda image: image.mean(1, keepdim=True), "batch.image")
    stage = one(student, tap=tap).through("student", grey).completed(facts_of(data))
    wire(stage, data.sample())
    assert stage.notes == {"branches leave at": "layer1"}
    assert stage.products["ensemble"]()(torch.zeros(2, 1, 16, 16)).shape == (2, 3)


def test_what_it_refuses(train: Batches) -> None:
    with pytest.raises(ModelError, match=r"ConvNet works at one resolution .*such as tap: layer1"):
        one(build_model("convnet-4-8", classes=3)).completed(facts_of(train))
    stage = one(build_model("resnet8", classes=3), tap="layer1.0.relu1").completed(facts_of(train))
    with pytest.raises(WiringError, match=r"after 'layer1.0.relu1' of ResNet also reads"):
        wire(stage, train.sample())
    with pytest.raises(RecipeError, match="branches is 0; it must be at least 1"):
        one(tiny_net(), branches=0)
