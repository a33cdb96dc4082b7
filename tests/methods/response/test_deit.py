"""DeiT: by hand for some steps with each kind of student, its inferences, what it refuses."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from by_hand import (
    Batch,
    Nets,
    equals_by_hand,
    frozen,
    labels,
    of_tiny,
    softened,
    trained,
)
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import deit, rkd
from stillhouse.models import build_model

FORMS = [("hard", {}), ("soft", {"temperature": 2.0, "alpha": 0.3})]
each_form = pytest.mark.parametrize(("form", "chosen"), FORMS)


def taught(form: str, own: Tensor, other: Tensor, target: Tensor, batch: Batch) -> Tensor:
    """The published sums."""
    if form == "hard":
        return 0.5 * labels(own, batch) + 0.5 * F.cross_entropy(other, target.argmax(1))
    return 0.7 * labels(own, batch) + 0.3 * softened(other, target, 2.0)


class TwoOutputs(nn.Module):
    """A network with two heads, that gives both in either mode."""

    def __init__(self, give: Callable[[Tensor, Tensor], object], seed: int) -> None:
        super().__init__()
        self.net = tiny_net(4, seed)
        self.other = nn.Linear(4, 3)
        self.give = give

    def forward(self, image: Tensor) -> object:
        pooled = self.net.relu(self.net.bn(self.net.conv(image))).mean((2, 3))
        return self.give(self.net.fc(pooled), self.other(pooled))


def as_tuple(own: Tensor, other: Tensor) -> object:
    return own, other


def as_mapping(own: Tensor, other: Tensor) -> object:
    return {"logits": own, "distilled": other}


@each_form
def test_with_a_distillation_token_it_equals_a_loop(form, chosen, train) -> None:
    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        net = nets["student"]
        x = net.tokens(net.patch(batch["batch.image"]).flatten(2).transpose(1, 2))
        x = net.norm(net.layer2(net.layer1(x)))
        _, _, target = frozen(of_tiny, nets["teacher"], batch)
        return taught(form, net.fc.own(x[:, 0]), net.fc.distilled(x[:, 1]), target, batch)

    torch.manual_seed(0)
    stage = deit(build_model("deit-8-2-2", classes=3, size=8), tiny_net(6, 2), form=form, **chosen)
    assert [node.name for node in stage.nodes if node.name == "distilled"] == []
    equals_by_hand(stage, train, objective, epochs=3, tolerance=(1e-3, 1e-3))
    assert stage.measures == {"student": "student.logits"}
    assert stage.products == {}


@each_form
def test_with_an_added_head_it_equals_a_loop(form, chosen, train) -> None:
    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        _, embedding, own = of_tiny(nets["student"], batch)
        _, _, target = frozen(of_tiny, nets["teacher"], batch)
        return taught(form, own, nets["distilled"](embedding), target, batch)

    student = tiny_net(4, 1)
    stage = deit(student, tiny_net(6, 2), form=form, **chosen)
    _, fitted = equals_by_hand(
        stage, train, objective, learning=["student", "distilled"], tolerance=(1e-4, 1e-4)
    )
    assert set(fitted.last["student"]) == set(student.state_dict()), "the head is no part of it"


@pytest.mark.parametrize(("give", "head"), [(as_tuple, ":1"), (as_mapping, ":distilled")])
def test_with_two_outputs_it_equals_a_loop(give, head, train) -> None:
    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        outputs = nets["student"](batch["batch.image"])
        own, other = outputs.values() if isinstance(outputs, dict) else outputs
        _, _, target = frozen(of_tiny, nets["teacher"], batch)
        return taught("hard", own, other, target, batch)

    stage = deit(TwoOutputs(give, 1), tiny_net(6, 2), distilled_head=head)
    stage, fitted = equals_by_hand(
        stage, train, objective, tolerance=(1e-4, 1e-4), validation=train
    )
    scores = fitted.history[-1]["validation"]
    assert list(scores) == ["class head", "both heads"]
    assert mean_loss(stage.products["both heads"](), train) == pytest.approx(
        scores["both heads"]["loss"], abs=1e-5
    )


def mean_loss(model: nn.Module, data: Batches) -> float:
    model.eval()
    with torch.no_grad():
        losses = [
            F.nll_loss(model(b["batch.image"]).log_softmax(1), b["batch.label"], reduction="none")
            for b in data.once()
        ]
    return torch.cat(losses).mean().item()


def test_both_heads_are_the_mean_of_both_softmaxes(train: Batches) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    stage = deit(student, teacher)
    scores = trained(stage, train, validation=train).history[-1]["validation"]
    assert list(scores) == ["own head", "distilled head", "both heads"]
    other, total = stage.node("distilled").module, 0.0
    student.eval()
    rows = 0
    with torch.no_grad():
        for batch in train.once():
            image, label = batch["batch.image"], batch["batch.label"]
            pooled = student.relu(student.bn(student.conv(image))).mean((2, 3))
            mean = (student.fc(pooled).softmax(1) + other(pooled).softmax(1)) / 2
            total -= mean.gather(1, label[:, None]).log().sum().item()
            rows += len(label)
    assert scores["both heads"]["loss"] == pytest.approx(total / rows, rel=1e-5)
    for label, make in stage.products.items():
        assert mean_loss(make(), train) == pytest.approx(scores[label]["loss"], abs=1e-5)
    bare = tiny_net(4, 3)
    bare.load_state_dict(stage.products["distilled head"]().state_dict())


def test_the_heads_of_other_networks_are_found_or_named(train: Batches) -> None:
    class Distilled(nn.Module):
        """Heads under the names of the authors' code; in eval mode it gives their mean."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head = nn.Linear(3, 3)
            self.head_dist = nn.Linear(3, 3)

        def forward(self, image: Tensor) -> object:
            z = self.trunk(image)
            own, other = self.head(z), self.head_dist(z)
            return (own, other) if self.training else (own + other) / 2

    stage = deit(Distilled(), tiny_net())
    assert [t.reads[0] for t in stage.terms()] == ["student.head", "student.head_dist"]
    wire(stage, train.sample())
    half = deit(Distilled(), tiny_net(), distilled_head="head_dist")
    assert [t.reads[0] for t in half.terms()] == ["student.head", "student.head_dist"]
    named = deit(Distilled(), tiny_net(), class_head="head_dist", distilled_head="head")
    assert [t.reads[0] for t in named.terms()] == ["student.head_dist", "student.head"]
    wire(named, train.sample())


def test_the_teachers_class_and_no_more_reaches_the_student(train: Batches) -> None:
    """Of a teacher that is ten times as sure, the hard form sees nothing."""
    sure = tiny_net(6, 2)
    with torch.no_grad():
        sure.fc.weight *= 10
        sure.fc.bias *= 10
    values = []
    for teacher in (tiny_net(6, 2), sure):
        stage = deit(build_model("deit-8-1-2", classes=3, size=8), teacher)
        torch.manual_seed(0)
        for parameter in stage.role("student").module.parameters():
            nn.init.normal_(parameter, std=0.1)
        signals = wire(stage, train.sample()).seen
        values.append([term.value(signals).item() for term in stage.terms()])
    assert values[0] == values[1]


def test_other_methods_take_a_student_with_two_heads_whichever_is_named(train) -> None:
    net = build_model("deit-8-1-2", classes=3, size=8)
    wire(rkd(net, tiny_net(), student_head="fc"), train.sample())
    stage = rkd(net, tiny_net())
    wire(stage, train.sample())
    assert stage.role("student").head == "fc.own"  # the logits are its mean with the distilled one


def test_what_does_not_fit_is_told(train: Batches) -> None:
    with pytest.raises(RecipeError, match="the hard form has none; leave it out, or use form 'so"):
        deit(tiny_net(), tiny_net(), temperature=2.0)
    with pytest.raises(RecipeError, match="no distilled_head is named; name both or none"):
        deit(tiny_net(), tiny_net(), class_head="fc")
    with pytest.raises(WiringError, match="finds no tensor '1' in what 'student' gives"):
        wire(deit(tiny_net(), tiny_net(), distilled_head=":1"), train.sample())
    with pytest.raises(WiringError, match="was not sized yet; train the stage"):
        deit(tiny_net(), tiny_net()).products["both heads"]()
