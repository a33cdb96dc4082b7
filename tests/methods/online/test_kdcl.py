"""KDCL: the loop by hand with each ensemble, what it measures."""

import pytest
import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, labels, softened
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.bridges import linear_logits
from stillhouse.data.batches import Batches
from stillhouse.methods import kdcl

T = 2.0


def target_of(kind: str, label: Tensor, logits: list[Tensor]) -> Tensor:
    rows = torch.arange(len(label))
    if kind == "mean":
        return sum(logits) / len(logits)
    if kind == "min_logit":
        return torch.stack([z - z[rows, label][:, None] for z in logits]).min(0).values
    if kind == "best":
        losses = torch.stack([F.cross_entropy(z, label, reduction="none") for z in logits])
        return torch.stack([logits[at][row] for row, at in enumerate(losses.argmin(0))])
    return linear_logits(label, *logits)


@pytest.mark.parametrize("kind", ["min_logit", "linear", "mean", "best"])
def test_it_equals_a_loop_by_hand(kind: str, train: Batches) -> None:
    names = ["student", "peer1", "peer2"]

    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        logits = [nets[name](batch["batch.image"]) for name in names]
        target = target_of(kind, batch["batch.label"], [z.detach() for z in logits])
        return sum(0.5 * labels(z, batch) + 0.7 * softened(z, target, T) for z in logits)

    peers: list[nn.Module] = [tiny_net(6, 2), tiny_net(5, 3)]
    settings = {"temperature": T, "weight": 0.7, "label_weight": 0.5}
    stage = kdcl(tiny_net(4, 1), peers, ensemble=kind, **settings)
    equals_by_hand(stage, train, objective, learning=names)


def test_the_target_is_no_way_of_inference() -> None:
    """It reads the label: measured is the mean of the softmaxes."""
    stage = kdcl(tiny_net(4), [tiny_net(6)])
    assert dict(stage.measures) == {
        "student": "student.logits", "peer 1": "peer1.logits", "ensemble": "ensemble",
    }  # fmt: skip
    assert stage.node("ensemble").reads == ("student.logits", "peer1.logits")
    assert stage.node("target").reads[0] == "batch.label"
