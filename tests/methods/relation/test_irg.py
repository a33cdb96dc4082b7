"""IRG: the loop by hand, pairs by name and found, defaults, what it refuses."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import ModelError, RecipeError
from stillhouse.methods import irg
from stillhouse.models import build_model

NAMED = (("conv", "conv"), ("relu", "relu"))


def edges(x: Tensor) -> Tensor:
    squares = (x.flatten(1)[:, None] - x.flatten(1)[None]).square().sum(2)
    return squares / squares.max()


def moves(early: Tensor, late: Tensor) -> Tensor:
    squares = (late.mean((2, 3)) - early.mean((2, 3))).square().sum(1)
    return squares / squares.max()


def graph_gap(mine: list[Tensor], theirs: list[Tensor]) -> Tensor:
    """Of (conv, relu, embedding, logits): 0.2 vertices + 3 edges + 2 shift."""
    gaps = [(edges(s) - edges(t)).square().mean() for s, t in zip(mine[:3], theirs, strict=False)]
    vertices = (mine[3] - theirs[3]).square().mean()
    shift = (moves(*mine[:2]) - moves(*theirs[:2])).square().mean()
    return 0.2 * vertices + 3.0 * sum(gaps) / 3 + 2.0 * shift


def heard(net: nn.Module, image: Tensor) -> list[Tensor]:
    """All layers once more: the loop ran the net, so its batch statistics have moved already."""
    conv, norm = net.conv(image), net.bn
    known = (None, None) if net.training else (norm.running_mean, norm.running_var)
    late = net.relu(F.batch_norm(conv, *known, norm.weight, norm.bias, training=net.training))
    embedding = late.mean((2, 3))
    return [conv, late, embedding, net.fc(embedding)]


def test_it_is_the_loop_by_hand(
    train: Batches,
    platform: Platform,
    budget: Settings,
    by_hand: Callable[..., list[float]],
    same_weights: Callable[[nn.Module, nn.Module], None],
) -> None:
    mine, theirs, teacher = tiny_net(4, 1), tiny_net(4, 1), tiny_net(6, 2)
    weights = {"vertex_weight": 0.2, "edge_weight": 3.0, "shift_weight": 2.0}
    fit(irg(mine, teacher, pairs=NAMED, **weights), train, settings=budget, platform=platform)

    def relation(student: Tensor, known: Tensor, batch: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            target = heard(teacher, batch["batch.image"])
        return graph_gap(heard(theirs, batch["batch.image"]), target)

    by_hand(theirs, teacher, relation)
    same_weights(mine, theirs)


def test_the_defaults_are_golden(train: Batches) -> None:
    """CE + 0.1 vertices + 5 edges + 5 shifts: the Zoo's, shared out over what is found."""
    small, large = (build_model(name, classes=3) for name in ("resnet8", "resnet14"))
    stage = irg(small, large)
    assert [term.name for term in stage.terms()] == ["label", "vertices"], "no pairs are known yet"
    whole = stage.completed(facts_of(train))
    assert whole.notes["pairs"] == "layer1 - layer1, layer2 - layer2, layer3 - layer3"
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.reads) for t in whole.terms()]
    both = [(f"student.{tap}", f"teacher.{tap}") for tap in ("layer1", "layer2", "layer3")]
    assert known == [
        ("label", "cross_entropy", 1.0, ("student.logits", "batch.label")),
        ("vertices", "mse", 0.1, ("student.logits", "teacher.logits")),
        *[(f"edges{at}", "edge_gap", 1.25, reads) for at, reads in enumerate(both)],
        ("edges", "edge_gap", 1.25, ("student.embedding", "teacher.embedding")),
        ("shift1", "shift_gap", 2.5, ("student_shift1", "teacher_shift1")),
        ("shift2", "shift_gap", 2.5, ("student_shift2", "teacher_shift2")),
    ]
    assert whole.node("teacher_shift2").reads == ("teacher.layer2", "teacher.layer3")
    assert (whole.keeps, whole.learners) == ("student", ("student",))


def test_without_vertices_no_logits_of_the_teacher_are_read() -> None:
    stage = irg(tiny_net(), tiny_net(), pairs=NAMED, vertex_weight=0.0)
    assert "teacher.logits" not in [read for term in stage.terms() for read in term.reads]


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(RecipeError, match=r"edge_weight is -1.0; it must be at least 0"):
        irg(tiny_net(), tiny_net(), edge_weight=-1.0)
    with pytest.raises(RecipeError, match="nearest: levels"):
        irg(tiny_net(), tiny_net(), pairs="level")
    with pytest.raises(ModelError, match=r"head: .*fcc.*nearest: fc"):
        irg(tiny_net(), tiny_net(), head="fcc")
