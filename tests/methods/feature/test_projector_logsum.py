"""The projector recipe: the objective by hand, the projector that learns, what it refuses."""

import copy
import math

import numpy as np
import pytest
import torch
from by_hand import same, trained
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Node
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import projector_logsum
from stillhouse.testing import check_method
from stillhouse.testing.toy import taught, toy_batches, untaught


def array(value: Tensor) -> np.ndarray:
    return value.detach().double().numpy()


def embedding(net: nn.Module, image: Tensor) -> np.ndarray:
    with torch.no_grad():
        return array(net.relu(net.bn(net.conv(image))).mean((2, 3)))


def projected(stage: Stage, z: np.ndarray) -> np.ndarray:
    """The projector by hand: affine layers with ReLU between."""
    module = stage.node("projected").module
    layers = [part for part in module.modules() if isinstance(part, nn.Linear)]
    for place, layer in enumerate(layers):
        z = z @ array(layer.weight).T + array(layer.bias)
        z = z if place == len(layers) - 1 else np.maximum(z, 0.0)
    return z


def normalised(kind: str, z: np.ndarray) -> np.ndarray:
    if kind == "batch":
        return (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-4)
    if kind == "group":  # widths below 8: one group, that is each example on its own
        return (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)
    if kind == "l2":
        return z * math.sqrt(z.shape[1]) / np.linalg.norm(z, axis=1, keepdims=True)
    if kind == "whiten":
        z = normalised("batch", z)
        factor = np.linalg.cholesky(z.T @ z / len(z) + 1e-4 * np.eye(z.shape[1]))
        return np.linalg.solve(factor, z.T).T
    return z


def distance(kind: str, s: np.ndarray, t: np.ndarray, alpha: float) -> float:
    gaps = np.abs(s - t)
    if kind == "l2":
        return (gaps**2).mean()
    if kind == "smooth_l1":
        return np.where(gaps < 1, gaps**2 / 2, gaps - 0.5).mean()
    if kind == "log_sum":
        return np.log((gaps**alpha).sum() + 1e-5)
    return np.log((np.abs((s * t).mean(0) - 1) ** alpha).sum() + 1e-5)


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.log(np.exp(z).sum(1, keepdims=True))


CHOICES = [
    *[("linear", "batch", d) for d in ("l2", "smooth_l1", "log_sum", "log_correlation")],
    *[("linear", n, "log_sum") for n in ("none", "l2", "group", "whiten")],
    *[(p, "batch", "log_sum") for p in ("none", "mlp2", "mlp3")],
    ("mlp3", "whiten", "log_correlation"),
]


@pytest.mark.parametrize(("projector", "normalise", "kind"), CHOICES)
@pytest.mark.parametrize("alpha", [2.0, 4.0])
def test_the_objective_is_the_published_sum(
    projector: str, normalise: str, kind: str, alpha: float, train: Batches
) -> None:
    width = 4 if projector == "none" else 6
    student, teacher, batch = tiny_net(4, 1).eval(), tiny_net(width, 2).eval(), train.sample(16)
    chosen = {"projector": projector, "normalise": normalise, "distance": kind, "alpha": alpha}
    stage = projector_logsum(
        student, teacher, **chosen, weight=3.0, label_weight=0.7, kd_weight=0.4, temperature=2.0
    )
    signals = wire(stage, batch).seen
    value = sum(term.weight_at(0.0) * term.value(signals).item() for term in stage.terms())
    s, t = (embedding(net, batch["batch.image"]) for net in (student, teacher))
    own = s @ array(student.fc.weight).T + array(student.fc.bias)
    theirs = t @ array(teacher.fc.weight).T + array(teacher.fc.bias)
    hard = -log_softmax(own)[np.arange(len(own)), batch["batch.label"].numpy()].mean()
    p, q = log_softmax(theirs / 2.0), log_softmax(own / 2.0)
    soft = 4.0 * (np.exp(p) * (p - q)).sum(1).mean()
    pair = normalised(normalise, projected(stage, s)), normalised(normalise, t)
    wanted = 0.7 * hard + 3.0 * distance(kind, *pair, alpha) + 0.4 * soft
    assert value == pytest.approx(wanted, rel=1e-4)


def test_the_target_is_normalised_without_parameters(train: Batches) -> None:
    stage = projector_logsum(tiny_net(4, 1), tiny_net(6, 2))
    wire(stage, train.sample())
    target = stage.node("target").module
    assert type(target).__name__ == "BatchStatistics"
    assert not list(target.parameters())


@pytest.mark.parametrize("distance", ["l2", "smooth_l1", "log_sum", "log_correlation"])
@pytest.mark.parametrize("projector", ["linear", "mlp2", "mlp3"])
def test_the_projector_is_in_the_optimiser_and_moves_in_one_step(
    projector: str, distance: str, train: Batches, platform: Platform
) -> None:
    """The authors' first release left it out: it stayed as it was drawn."""
    stage = projector_logsum(tiny_net(4, 1), tiny_net(6, 2), projector=projector, distance=distance)
    settings = Settings(optimizer=sgd(0.05, weight_decay=0.0))
    with training(stage, train, settings, platform) as trainer:
        module = stage.node("projected").module
        known = {id(p) for g in trainer.steppers[0].optimizer.param_groups for p in g["params"]}
        assert {id(p) for p in module.parameters()} <= known
        before = copy.deepcopy(module.state_dict())
        next(trainer.steps(0))
        weights = [key for key in before if key.endswith("weight")]
        assert weights
        for key in weights:
            assert not torch.equal(module.state_dict()[key], before[key]), key


def test_the_bias_before_batch_norm_changes_nothing(train: Batches) -> None:
    stage, batch = projector_logsum(tiny_net(4, 1), tiny_net(6, 2)), train.sample(16)
    wiring = wire(stage, batch)
    bridge, term = stage.node("projected"), list(stage.terms())[1]
    layer = bridge.module.projector

    def feature() -> Tensor:
        return term.value(wiring.seen | bridge.run(wiring.seen))

    before = feature()
    (slope,) = torch.autograd.grad(before, layer.bias)
    assert slope.abs().max() < 1e-5
    with torch.no_grad():
        layer.bias += 5.0
    assert feature().item() == pytest.approx(before.item(), rel=1e-5)


def test_the_projector_is_dropped_from_the_product(train: Batches) -> None:
    student = tiny_net(4, 1)
    fitted = trained(projector_logsum(student, tiny_net(6, 2)), train, epochs=1)
    assert set(fitted.last["student"]) == set(student.state_dict())
    shapes = {key: tuple(value.shape) for key, value in fitted.last["projected"].items()}
    assert shapes == {"projector.weight": (6, 4), "projector.bias": (6,)}
    assert "target" not in fitted.last


def test_the_teachers_side_gets_no_gradient_and_the_students_embedding_does(
    train: Batches,
) -> None:
    """Also where nothing but the distance teaches: the head stays, what is below it moves."""
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    before, known = copy.deepcopy(student), copy.deepcopy(teacher)
    stage = projector_logsum(student, teacher, label_weight=0.0, kd_weight=0.0)
    history = trained(stage, train, epochs=4, optimizer=sgd(0.05, weight_decay=0.0)).history
    assert torch.equal(student.fc.weight, before.fc.weight)
    assert not torch.equal(student.conv.weight, before.conv.weight)
    same(teacher, known)
    assert history[-1]["terms"]["feature"] < history[0]["terms"]["feature"] - 0.2


class Embeddings(Node):
    """A teacher cache of embeddings alone, without logits."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__("teacher", "batch.image")
        self.net = net.eval()

    def problem(self, part: str) -> str | None:
        return None if part == "embedding" else f"only embeddings were kept, not '{part}'"

    def run(self, signals: Signals) -> Signals:
        z = embedding(self.net, signals["batch.image"])
        return {"teacher.embedding": torch.from_numpy(z).float()}


def test_without_the_kl_no_logits_of_the_teacher_are_needed(train: Batches) -> None:
    stage = projector_logsum(tiny_net(4, 1), Embeddings(tiny_net(6, 2)), kd_weight=0.0)
    assert [term.name for term in stage.terms()] == ["label", "feature"]
    trained(stage, train, epochs=1)
    with_kl = projector_logsum(tiny_net(4, 1), Embeddings(tiny_net(6, 2)))
    with pytest.raises(WiringError, match="only embeddings were kept, not 'logits'"):
        trained(with_kl, train, epochs=1)


@pytest.mark.parametrize(
    "options",
    [
        {"distance": "log_correlation", "kd_weight": 0.0},
        {"projector": "mlp2", "normalise": "whiten", "distance": "l2"},
        {"projector": "mlp3", "normalise": "group", "distance": "smooth_l1"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_other_choices_keep_the_contract(options: dict[str, object]) -> None:
    check_method(projector_logsum, options=options, widths=[(4, 6)])


def test_no_projector_needs_equal_widths(train: Batches) -> None:
    equal = projector_logsum(tiny_net(4, 1), tiny_net(4, 2), projector="none")
    assert trained(equal, train, epochs=1).last.get("projected", {}) == {}
    with pytest.raises(WiringError, match=r"'none': .*width 4, the teacher's 6; .*'linear'"):
        wire(projector_logsum(tiny_net(4, 1), tiny_net(6, 2), projector="none"), train.sample())


def test_maps_are_matched_by_a_1x1_convolution(train: Batches) -> None:
    student, teacher, batch = tiny_net(4, 1).eval(), tiny_net(6, 2).eval(), train.sample(16)
    maps = {"projector": "conv1x1", "student_feature": "bn", "teacher_feature": "conv"}
    stage = projector_logsum(student, teacher, **maps, kd_weight=0.0)
    seen = wire(stage, batch).seen
    with torch.no_grad():
        s = array(student.bn(student.conv(batch["batch.image"]))).transpose(0, 2, 3, 1)
        t = array(teacher.conv(batch["batch.image"])).transpose(0, 2, 3, 1)
    layer = stage.node("projected").module.projector
    s = s.reshape(-1, 4) @ array(layer.weight)[:, :, 0, 0].T + array(layer.bias)
    wanted = distance("log_sum", normalised("batch", s), normalised("batch", t.reshape(-1, 6)), 4.0)
    term = next(term for term in stage.terms() if term.name == "feature")
    assert term.value(seen).item() == pytest.approx(wanted, rel=1e-4)
    check_method(projector_logsum, options=maps, widths=[(4, 6)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"student_feature": "conv", "teacher_feature": "conv"}, "are maps; take .*'conv1x1'"),
        ({"projector": "conv1x1"}, "are no maps; take projector 'linear'"),
        ({"projector": "conv1x1", "student_feature": "conv"}, r"take two vectors \[B, D\]"),
    ],
)
def test_projectors_that_do_not_fit_the_features(
    options: dict[str, str], said: str, train: Batches
) -> None:
    with pytest.raises(WiringError, match=said):
        wire(projector_logsum(tiny_net(4, 1), tiny_net(6, 2), **options), train.sample())


def test_a_correlation_needs_features_of_variance_1() -> None:
    for normalise in ("none", "l2", "group"):
        with pytest.raises(RecipeError, match=f"normalise is '{normalise}'; choose 'batch'"):
            projector_logsum(
                tiny_net(), tiny_net(), distance="log_correlation", normalise=normalise
            )


def test_maps_of_each_level_are_projected_at_each_position_by_hand() -> None:
    taps = (("relu", "relu"), ("relu", "down"))
    stage = projector_logsum(untaught(4), taught(6), pairs=taps, kd_weight=0.0, alpha=3.0)
    seen = wire(stage, toy_batches().sample()).seen
    for number, (mine, theirs) in enumerate(taps, start=1):
        projector = stage.node(f"projected{number}").module.layers.projector
        weight, bias = array(projector.weight)[:, :, 0, 0], projector.bias
        z, t = array(seen[f"student.{mine}"]), array(seen[f"teacher.{theirs}"])
        if number == 2:  # half as high and wide
            z = z.reshape(*z.shape[:2], z.shape[2] // 2, 2, z.shape[3] // 2, 2).mean((3, 5))
        rows = [x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in (z, t)]
        made = rows[0] @ weight.T + (0 if bias is None else array(bias))
        wanted = distance("log_sum", *(normalised("batch", x) for x in (made, rows[1])), 3.0)
        term = next(each for each in stage.terms() if each.name == f"feature{number}")
        assert term.value(seen).item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("wrong", [
    {"student_feature": "relu"}, {"projector": "mlp2"}, {"distance": "log_correlation"},
])  # fmt: skip
def test_pairs_are_of_maps(wrong: dict[str, str]) -> None:
    with pytest.raises(RecipeError, match="pairs are of maps"):
        projector_logsum(untaught(4), taught(6), pairs="levels", **wrong)
