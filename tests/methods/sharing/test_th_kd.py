"""TH-KD: both forms by hand, the frozen head, its limits, and what it measures."""

import copy

import numpy as np
import pytest
import torch
from by_hand import same, trained, wired
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Role
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.stage import Stage
from stillhouse.engine.wiring import wire
from stillhouse.errors import ModelError, WiringError
from stillhouse.methods import kd, th_kd


def objective(stage: Stage, batch: dict[str, Tensor]) -> float:
    """The weighted sum of the terms on a batch, in eval mode."""
    signals = wire(stage, batch).seen
    return sum(term.weight_at(0.0) * term.value(signals).item() for term in stage.terms())


def array(value: Tensor) -> np.ndarray:
    return value.detach().double().numpy()


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def three_heads(student: nn.Module, teacher: nn.Module, batch, matched: nn.Module | None):
    """Own logits, logits of the teacher's head on the student's embedding, the teacher's logits."""
    image = batch["batch.image"]
    with torch.no_grad():
        z = array(student.relu(student.bn(student.conv(image))).mean((2, 3)))
        theirs = array(teacher.relu(teacher.bn(teacher.conv(image))).mean((2, 3)))
    own = z @ array(student.fc.weight).T + array(student.fc.bias)
    if matched is not None:
        z = z @ array(matched.weight).T + array(matched.bias)
    weight, bias = array(teacher.fc.weight).T, array(teacher.fc.bias)
    return own, z @ weight + bias, theirs @ weight + bias


def by_hand(heads, label: Tensor, form: str, alpha, temperature, weight, label_weight) -> float:
    own, through, target = heads
    rows = np.arange(len(own))

    def ce(z):
        return -log_softmax(z)[rows, label.numpy()].mean()

    def soft(z):
        p, q = log_softmax(target / temperature), log_softmax(z / temperature)
        return temperature**2 * (np.exp(p) * (p - q)).sum(1).mean()

    hard = ce(own) if form == "code" else (1 - alpha) * ce(own) + alpha * ce(through)
    return label_weight * hard + weight * ((1 - alpha) * soft(own) + alpha * soft(through))


@pytest.mark.parametrize("form", ["code", "paper"])
@pytest.mark.parametrize("alpha", [0.0, 0.013, 0.4, 1.0])
@pytest.mark.parametrize("width", [4, 6])
def test_the_objective_is_that_of_the_paper(form, alpha, width, train: Batches) -> None:
    student, teacher = tiny_net(4, 1).eval(), tiny_net(width, 2).eval()
    chosen = {"form": form, "alpha": alpha, "temperature": 3.0, "weight": 2.0, "label_weight": 0.7}
    stage, batch = th_kd(student, teacher, **chosen), train.sample(8)
    value = objective(stage, batch)
    matched = stage.node("matched").module if width != 4 else None
    heads = three_heads(student, teacher, batch, matched)
    assert value == pytest.approx(by_hand(heads, batch["batch.label"], **chosen), rel=1e-5)


@pytest.mark.parametrize("width", [4, 6])
def test_the_teachers_head_keeps_its_bits_under_weight_decay(width: int, train: Batches) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(width, 2)
    head, own = copy.deepcopy(teacher.fc), copy.deepcopy(student.fc)
    stage = th_kd(student, teacher, form="paper", alpha=0.5)
    trained(stage, train, epochs=3, optimizer=sgd(0.1, weight_decay=0.1))
    same(teacher.fc, head)
    assert not torch.equal(student.fc.weight, own.weight)


def test_equal_widths_add_no_parameters(train: Batches) -> None:
    student = tiny_net(4, 1)
    equal = trained(th_kd(student, tiny_net(4, 2)), train, epochs=1)
    assert equal.last.get("matched", {}) == {}
    other = trained(th_kd(tiny_net(4, 1), tiny_net(6, 2)), train, epochs=1)
    shapes = {key: tuple(value.shape) for key, value in other.last["matched"].items()}
    assert shapes == {"weight": (6, 4), "bias": (6,)}
    assert set(other.last["student"]) == set(student.state_dict()), "the bridge is not the student"


def test_the_bridge_learns(train: Batches) -> None:
    """The classic omission is a projector that no optimiser knows."""
    stage = wired(th_kd(tiny_net(4, 1), tiny_net(6, 2), form="paper", alpha=0.5), train)
    before = copy.deepcopy(stage.node("matched").module)
    trained(stage, train, epochs=1)
    assert not torch.equal(before.weight, stage.node("matched").module.weight)


def test_alpha_1_of_the_paper_is_a_student_with_the_teachers_head(train: Batches) -> None:
    """The own head gets no gradient; the embedding learns as if the teacher's head were its own."""
    student, teacher = tiny_net(4, 1), tiny_net(4, 2)
    shared, own = copy.deepcopy(student), copy.deepcopy(student.fc)
    shared.fc = copy.deepcopy(teacher.fc).requires_grad_(False)
    no_decay = sgd(0.05, weight_decay=0.0)
    trained(th_kd(student, teacher, form="paper", alpha=1.0), train, optimizer=no_decay)
    trained(kd(shared, teacher, weight=1.52, label_weight=1.0), train, optimizer=no_decay)
    assert torch.equal(student.fc.weight, own.weight)
    for name in ("conv", "bn"):
        same(student.get_submodule(name), shared.get_submodule(name), 1e-6, 1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_measures_are_three_right_ways_of_inference(alpha: float, train: Batches) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    stage = th_kd(student, teacher, form="paper", alpha=alpha)
    scores = trained(stage, train, epochs=1, validation=train).history[-1]["validation"]
    assert set(scores) == {"own head", "teacher head", "mixture"}
    batch = next(train.once())
    label, rows = batch["batch.label"].numpy(), np.arange(len(batch["batch.label"]))
    heads = three_heads(student.eval(), teacher.eval(), batch, stage.node("matched").module)
    own, through = (np.exp(log_softmax(z)) for z in heads[:2])
    for name, p in {
        "own head": own,
        "teacher head": through,
        "mixture": (1 - alpha) * own + alpha * through,
    }.items():
        assert scores[name]["loss"] == pytest.approx(-np.log(p[rows, label]).mean(), rel=1e-4)
        assert scores[name]["accuracy"] == pytest.approx((p.argmax(1) == label).mean())


class Auxiliary(nn.Module):
    """Its last Linear is not its head."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.net = tiny_net(4, seed)
        self.rotation = nn.Linear(4, 3)

    def forward(self, image: Tensor) -> Tensor:
        pooled = self.net.relu(self.net.bn(self.net.conv(image))).mean((2, 3))
        self.rotation(pooled)
        return self.net.fc(pooled)


def test_a_last_linear_that_is_not_the_head_is_refused_until_it_is_named(train: Batches) -> None:
    stage = th_kd(Auxiliary(1), Auxiliary(2))
    with pytest.raises(WiringError) as caught:
        trained(stage, train, epochs=1)
    said = "its output is not the logits; name the head (head: PATH)"
    for who, problem in zip(("student", "teacher"), caught.value.problems, strict=True):
        assert f"'{who}.rotation'" in problem
        assert said in problem
    named = th_kd(Auxiliary(1), Auxiliary(2), student_head="net.fc", head="net.fc")
    trained(named, train, epochs=1)
    with_role = th_kd(
        Auxiliary(1), Role("teacher", Auxiliary(2), head="net.fc"), student_head="net.fc"
    )
    trained(with_role, train, epochs=1)


def test_a_teacher_without_any_linear_is_refused() -> None:
    class Headless(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.mean((2, 3))

    with pytest.raises(ModelError, match=r"teacher \(Headless\) has no Linear .*head: PATH"):
        th_kd(tiny_net(), Headless())


def test_class_counts_that_differ_are_refused(train: Batches) -> None:
    teacher = tiny_net(4, 2)
    teacher.fc = nn.Linear(4, 5)
    with pytest.raises(WiringError, match=r"term 'kd' does not fit .*\[4, 3\].*\[4, 5\]"):
        trained(th_kd(tiny_net(4, 1), teacher), train, epochs=1)


def test_a_head_that_nothing_trains_is_not_judged_first() -> None:
    assert next(iter(th_kd(tiny_net(), tiny_net(), form="paper", alpha=1.0).measures)) == (
        "teacher head"
    )
    assert next(iter(th_kd(tiny_net(), tiny_net(), form="code", alpha=1.0).measures)) == "own head"
