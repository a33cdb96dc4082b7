"""PCL: the loop by hand with mean teachers, what is measured and handed over."""

import math
from collections.abc import Iterator

import torch
from by_hand import (
    EPOCHS,
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
from stillhouse.methods import pcl

T, DECAY = 2.0, 0.8
WIDTHS = (4, 6, 5)
NAMES = ["student", "peer1", "peer2"]


def nets() -> list[nn.Module]:
    return [tiny_net(width, at) for at, width in enumerate(WIDTHS, start=1)]


def objective(nets: Nets, batch: Batch, epoch: float) -> Iterator[Tensor]:
    embeddings, logits = zip(*(of_tiny(nets[name], batch)[1:] for name in NAMES), strict=True)
    whole = nets["ensemble"].fc(torch.cat(embeddings, 1))
    steady = [frozen(of_tiny, nets[f"mean_{name}"], batch)[2] for name in NAMES]
    grown = 0.7 * math.exp(-5 * (1 - min(epoch / EPOCHS / 0.5, 1)) ** 2)
    loss = 0.5 * sum(labels(z, batch) for z in [*logits, whole])
    for i, z in enumerate(logits):
        others = [softened(z, m, T) for j, m in enumerate(steady) if j != i]
        loss = loss + grown * (softened(z, whole.detach(), T) + sum(others) / len(others))
    yield loss
    for name in NAMES:
        now = nets[name].state_dict()
        for key, value in nets[f"mean_{name}"].state_dict().items():
            kept = DECAY * value + (1 - DECAY) * now[key]
            value.copy_(kept if value.is_floating_point() else now[key])


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    student, *peers = nets()
    settings = {"temperature": T, "weight": 0.7, "label_weight": 0.5, "rampup": 0.5}
    stage = pcl(student, peers, decay=DECAY, **settings)
    _, fitted = equals_by_hand(
        stage, train, objective, learning=[*NAMES, "ensemble"], validation=train
    )
    measured = ["student", "peer 1", "peer 2", "ensemble", "mean student"]
    assert list(fitted.history[-1]["validation"]) == measured


def test_the_mean_student_is_handed_over(train: Batches) -> None:
    student, *peers = nets()
    stage = pcl(student, peers, decay=DECAY)
    fitted = trained(stage, train)
    mean = stage.products["mean student"]()
    for key, value in mean.state_dict().items():
        assert torch.equal(value, fitted.last["mean_student"][key])
    assert not torch.equal(mean.fc.weight, stage.role("student").module.fc.weight)


def test_the_ensemble_reads_all_embeddings(train: Batches) -> None:
    cohort = nets()
    stage = pcl(cohort[0], cohort[1:])
    wire(stage, train.sample())
    assert stage.node("ensemble").module.fc.in_features == sum(WIDTHS)
    assert stage.learners == ("student", "peer1", "peer2", "ensemble")


def test_a_mean_takes_a_thousandth_of_each_step() -> None:
    assert pcl(tiny_net(4), [tiny_net(6)]).node("mean_student").decay == 0.999
