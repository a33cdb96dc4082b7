"""RKD: the objective by hand, its heads, defaults, what it refuses."""

import math
from itertools import product

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import ModelError, RecipeError, WiringError
from stillhouse.methods import plain, rkd

Rows = list[list[float]]


def embedding(net: nn.Module, image: Tensor) -> Rows:
    with torch.no_grad():
        rows: Rows = net.relu(net.bn(net.conv(image))).mean((2, 3)).tolist()
    return rows


def huber(gap: float) -> float:
    return gap * gap / 2 if abs(gap) < 1 else abs(gap) - 0.5


def distances(x: Rows) -> list[float]:
    between = [math.dist(a, b) for a, b in product(x, x)]
    positive = [d for d in between if d > 0]
    return [d * len(positive) / sum(positive) for d in between]


def cosines(x: Rows) -> list[float]:
    def cosine(at: list[float], a: list[float], b: list[float]) -> float:
        u, v = ([p - q for p, q in zip(end, at, strict=True)] for end in (a, b))
        lengths = math.hypot(*u) * math.hypot(*v)
        return sum(p * q for p, q in zip(u, v, strict=True)) / lengths if lengths else 0.0

    return [cosine(*triple) for triple in product(x, x, x)]


def mean_huber(mine: list[float], theirs: list[float]) -> float:
    return sum(huber(a - b) for a, b in zip(mine, theirs, strict=True)) / len(mine)


@pytest.mark.parametrize("width", [4, 6])
def test_the_objective_is_the_published_sum(width: int, train: Batches) -> None:
    student, teacher, batch = tiny_net(4, 1).eval(), tiny_net(width, 2).eval(), train.sample(8)
    stage = rkd(student, teacher, distance_weight=2.0, angle_weight=3.0, label_weight=0.5)
    signals = wire(stage, batch).seen
    value = sum(term.weight_at(0.0) * term.value(signals).item() for term in stage.terms())
    mine, theirs = (embedding(net, batch["batch.image"]) for net in (student, teacher))
    with torch.no_grad():
        log_p = student(batch["batch.image"]).double().log_softmax(1)
    hard = -log_p.gather(1, batch["batch.label"][:, None]).mean().item()
    wanted = 0.5 * hard + 2.0 * mean_huber(distances(mine), distances(theirs))
    wanted += 3.0 * mean_huber(cosines(mine), cosines(theirs))
    assert value == pytest.approx(wanted, rel=1e-5)


def test_the_defaults_are_golden() -> None:
    """CE + 25 RKD-D + 50 RKD-A on penultimate vectors: the CIFAR-100 benchmark of CRD."""
    stage = rkd(tiny_net(), tiny_net())
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.reads) for t in stage.terms()]
    both = ("student.embedding", "teacher.embedding")
    assert known == [
        ("label", "cross_entropy", 1.0, ("student.logits", "batch.label")),
        ("distance", "rkd_distance", 25.0, both),
        ("angle", "rkd_angle", 50.0, both),
    ]
    assert [node.name for node in stage.nodes] == ["student", "teacher"], "no bridge is needed"
    assert (stage.keeps, stage.learners) == ("student", ("student",))


def test_without_relations_it_is_plain_training(train: Batches, platform: Platform) -> None:
    mine, theirs = tiny_net(4, 1, dropout=0.3), tiny_net(4, 1, dropout=0.3)
    settings = Settings(epochs=2, seed=1)
    off = rkd(mine, tiny_net(6, 2), distance_weight=0.0, angle_weight=0.0)
    fit(off, train, settings=settings, platform=platform)
    fit(plain(theirs), train, settings=settings, platform=platform)
    for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


def test_relations_come_nearer_to_the_teachers(train: Batches, platform: Platform) -> None:
    """Of another width, and without any label."""
    stage = rkd(tiny_net(4, 1), tiny_net(6, 2), label_weight=0.0)
    history = fit(stage, train, settings=Settings(epochs=6), platform=platform).history
    for name in ("distance", "angle"):
        assert history[-1]["terms"][name] < 0.7 * history[0]["terms"][name]


def test_heads_may_be_named() -> None:
    stage = rkd(tiny_net(), tiny_net(), student_head="fc", head="fc")
    assert [stage.role(name).head for name in ("student", "teacher")] == ["fc", "fc"]
    teacher = Role("teacher", tiny_net(), head="fc")
    assert rkd(tiny_net(), teacher).node("teacher") is teacher
    with pytest.raises(WiringError, match=r"comes as a node; .*Role\('teacher', model, head='fc'"):
        rkd(tiny_net(), teacher, head="fc")


@pytest.mark.parametrize("setting", ["student_head", "head"])
def test_a_head_that_is_not_there_is_told(setting: str) -> None:
    with pytest.raises(ModelError, match=r"head: .*fcc.*nearest: fc"):
        rkd(tiny_net(), tiny_net(), **{setting: "fcc"})


def test_all_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        rkd(tiny_net(), tiny_net(), distance_weight=-25.0, angle_weight=math.nan)
    assert caught.value.problems == (
        "distance_weight is -25.0; it must be at least 0",
        "angle_weight is nan; it must be at least 0",
    )
