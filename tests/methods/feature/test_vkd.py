"""VkD: the objective by hand in float64, what stays orthonormal, features of any kind."""

import numpy as np
import pytest
import torch
from bridges.test_orthogonal import defect
from by_hand import trained
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.optimisers import adamw
from stillhouse.engine.wiring import wire
from stillhouse.errors import WiringError
from stillhouse.methods import vkd
from stillhouse.models import build_model
from stillhouse.testing import check_method


def array(value: Tensor) -> np.ndarray:
    return value.detach().double().numpy()


def embedding(net: nn.Module, image: Tensor) -> np.ndarray:
    with torch.no_grad():
        return array(net.relu(net.bn(net.conv(image))).mean((2, 3)))


def normalised(kind: str, z: np.ndarray) -> np.ndarray:
    if kind == "standardise":
        return (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)
    if kind == "whiten":
        z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-4)
        factor = np.linalg.cholesky(z.T @ z / len(z) + 1e-4 * np.eye(z.shape[1]))
        return np.linalg.solve(factor, z.T).T
    return z


def huber(mine: np.ndarray, theirs: np.ndarray) -> float:
    total = 0.0
    for row, wanted in zip(mine, theirs, strict=True):
        for a, b in zip(row, wanted, strict=True):
            gap = abs(a - b)
            total += gap**2 / 2 if gap < 1 else gap - 0.5
    return total / mine.size


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.log(np.exp(z).sum(1, keepdims=True))


@pytest.mark.parametrize("normalise", ["standardise", "whiten", "none"])
@pytest.mark.parametrize("width", [6, 3])
def test_the_objective_is_the_published_sum(normalise: str, width: int, train: Batches) -> None:
    student, teacher, batch = tiny_net(4, 1).eval(), tiny_net(width, 2).eval(), train.sample(16)
    stage = vkd(
        student, teacher, normalise=normalise, weight=3.0, label_weight=0.7, kd_weight=0.4,
        temperature=2.0,
    )  # fmt: skip
    signals = wire(stage, batch).seen
    value = sum(term.weight_at(0.0) * term.value(signals).item() for term in stage.terms())
    s, t = (embedding(net, batch["batch.image"]) for net in (student, teacher))
    own = s @ array(student.fc.weight).T + array(student.fc.bias)
    theirs = t @ array(teacher.fc.weight).T + array(teacher.fc.bias)
    hard = -log_softmax(own)[np.arange(len(own)), batch["batch.label"].numpy()].mean()
    p, q = log_softmax(theirs / 2.0), log_softmax(own / 2.0)
    soft = 4.0 * (np.exp(p) * (p - q)).sum(1).mean()
    projected = s @ array(stage.node("projected").module.projector.weight).T
    wanted = 0.7 * hard + 3.0 * huber(projected, normalised(normalise, t)) + 0.4 * soft
    assert value == pytest.approx(wanted, rel=1e-4)


def test_the_projector_learns_stays_orthonormal_and_is_dropped(train: Batches) -> None:
    student = tiny_net(4, 1)
    stage = vkd(student, tiny_net(6, 2))
    fitted = trained(stage, train, epochs=2, optimizer=adamw(0.02, weight_decay=0.05))
    assert set(fitted.last["student"]) == set(student.state_dict())
    projector = stage.node("projected").module.projector
    assert defect(projector.weight) < 2e-6
    assert projector.moved.abs().max() > 1e-3
    assert {key.split(".")[-1] for key in fitted.last["projected"]} == {"moved", "base"}
    assert "target" not in fitted.last


def test_the_means_of_maps_keep_the_contract() -> None:
    check_method(vkd, options={"student_feature": "bn", "teacher_feature": "bn"}, widths=[(4, 6)])


def test_of_tokens_the_mean_of_the_patches_is_matched(train: Batches) -> None:
    """The class and the distillation token are no part of it."""
    student, batch = build_model("deit-8-2-2", classes=3, size=8), train.sample(8)
    stage = vkd(student, tiny_net(6, 2), student_feature="norm:as_map")
    seen = wire(stage, batch).seen
    heard = []
    hook = student.norm.register_forward_hook(lambda _m, _i, out: heard.append(out))
    with torch.no_grad():
        student(batch["batch.image"])
    hook.remove()
    mean = array(heard[0])[:, 2:].mean(1)
    weight = array(stage.node("projected").module.projector.weight)
    np.testing.assert_allclose(array(seen["projected"]), mean @ weight.T, rtol=1e-4, atol=1e-5)
    with pytest.raises(WiringError, match=r"of tokens, .*: 'norm:as_map'"):
        wire(vkd(student, tiny_net(6, 2), student_feature="norm"), batch)
