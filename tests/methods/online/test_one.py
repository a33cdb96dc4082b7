"""ONE: the loop by hand, where branches leave, what is kept and handed over."""

import math

import pytest
import torch
import torch.nn.functional as F
from by_hand import EPOCHS, Batch, Nets, equals_by_hand, labels, of_tiny, softened, trained
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.nodes import Bridge
from stillhouse.engine.wiring import wire
from stillhouse.errors import ModelError, WiringError
from stillhouse.methods import one
from stillhouse.models import build_model

T = 2.0


def colour_images(side: int = 16) -> Batches:
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (12, side, side, 3), generator=made).to(torch.uint8)
    augment = Augment((0.5,) * 3, (0.25,) * 3, crop=0, flip=False)
    return Batches(ImageTable(images, torch.arange(12) % 3), augment, batch_size=4)


def objective(nets: Nets, batch: Batch, epoch: float) -> Tensor:
    """With dropout in each branch, in the order in which they run, and a weight that grows."""
    features, _, own = of_tiny(nets["student"], batch)
    gate = nets["gate"]
    shares = gate.bn(gate.fc(features.mean((2, 3)))).relu().softmax(1)
    logits = [own, nets["branch1"](features), nets["branch2"](features)]
    mixed = sum(g[:, None] * z for g, z in zip(shares.unbind(1), logits, strict=True))
    hard = sum(labels(z, batch) for z in [*logits, mixed])
    soft = sum(softened(z, mixed.detach(), T) for z in logits)
    grown = 0.7 * math.exp(-5 * (1 - min(epoch / EPOCHS / 0.5, 1)) ** 2)
    return 0.5 * hard + grown * soft


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    settings = {"temperature": T, "weight": 0.7, "label_weight": 0.5, "rampup": 0.5}
    stage = one(tiny_net(4, 1, dropout=0.3), tap="relu", **settings)
    learning = ["student", "branch1", "branch2", "gate"]
    stage, fitted = equals_by_hand(stage, train, objective, learning=learning, validation=train)
    assert stage.node("branch1").module.state_dict().keys() == {"fc.weight", "fc.bias"}
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


def test_the_weight_grows_over_80_of_300_epochs() -> None:
    """As in the released code."""
    stage = one(tiny_net(), tap="relu").completed(facts_of(colour_images()))
    weights = [list(stage.terms())[4].weight_at(epoch, 300) for epoch in (0, 40, 81, 300)]
    assert weights == pytest.approx([math.exp(-5), math.exp(-1.25), 1.0, 1.0], abs=2e-3)
    assert (stage.keeps, set(stage.products)) == ("student", {"ensemble"})


def test_the_ensemble_is_a_model_of_its_own() -> None:
    """Also after the stage: it shares nothing with the student, and needs no hooks."""
    data, student = colour_images(), build_model("resnet8", classes=3)
    stage = one(student, branches=1).completed(facts_of(data))
    fitted = trained(stage, data, epochs=1, validation=data)
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


def test_a_student_that_asks_for_the_size_of_its_images() -> None:
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
