"""IRG: the loop by hand, pairs by name and found."""

import pytest
from by_hand import Batch, Nets, equals_by_hand, frozen, labels
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import facts_of
from stillhouse.errors import RecipeError
from stillhouse.methods import irg
from stillhouse.models import build_model

NAMED = (("conv", "conv"), ("relu", "relu"))


def layers(net: nn.Module, batch: Batch) -> tuple[Tensor, ...]:
    early = net.conv(batch["batch.image"])
    late = net.relu(net.bn(early))
    embedding = late.mean((2, 3))
    return early, late, embedding, net.fc(embedding)


def edges(x: Tensor) -> Tensor:
    squares = (x.flatten(1)[:, None] - x.flatten(1)[None]).square().sum(2)
    return squares / squares.max()


def moves(early: Tensor, late: Tensor) -> Tensor:
    squares = (late.mean((2, 3)) - early.mean((2, 3))).square().sum(1)
    return squares / squares.max()


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    """Labels + 0.2 vertices + 3 edges + 2 shift."""
    mine, theirs = layers(nets["student"], batch), frozen(layers, nets["teacher"], batch)
    gaps = [(edges(s) - edges(t)).square().mean() for s, t in zip(mine[:3], theirs, strict=False)]
    vertices = (mine[3] - theirs[3]).square().mean()
    shift = (moves(*mine[:2]) - moves(*theirs[:2])).square().mean()
    return labels(mine[3], batch) + 0.2 * vertices + 3.0 * sum(gaps) / 3 + 2.0 * shift


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    weights = {"vertex_weight": 0.2, "edge_weight": 3.0, "shift_weight": 2.0}
    stage = irg(tiny_net(4, 1), tiny_net(6, 2), pairs=NAMED, **weights)
    equals_by_hand(stage, train, objective, tolerance=(1e-5, 1e-4))


def test_weights_are_shared_out_over_the_pairs_that_are_found(train: Batches) -> None:
    """CE + 0.1 vertices + 5 edges + 5 shifts: the Zoo's."""
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


def test_a_way_to_pair_that_is_not_there_is_told() -> None:
    with pytest.raises(RecipeError, match="nearest: levels"):
        irg(tiny_net(), tiny_net(), pairs="level")
