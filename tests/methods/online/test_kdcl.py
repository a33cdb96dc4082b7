"""KDCL: each ensemble by hand in a whole training, what it measures and refuses."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.bridges import linear_logits
from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import kdcl

RATE, EPOCHS, T = 0.1, 2, 2.0


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
def test_it_equals_a_hand_written_loop(kind: str, train: Batches, platform: Platform) -> None:
    nets: list[nn.Module] = [tiny_net(4, 1), tiny_net(6, 2), tiny_net(5, 3)]
    byhand = [copy.deepcopy(net).train() for net in nets]
    optimizer = torch.optim.SGD(
        [p for net in byhand for p in net.parameters()], RATE, momentum=0.9, weight_decay=5e-4,
        fused=True,
    )  # fmt: skip
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            logits, label = [n(batch["batch.image"]) for n in byhand], batch["batch.label"]
            q = (target_of(kind, label, [z.detach() for z in logits]) / T).softmax(1)
            for z in logits:
                soft = T**2 * (q * (q.log() - (z / T).log_softmax(1))).sum(1).mean()
                (0.5 * F.cross_entropy(z, label) + 0.7 * soft).backward()
            optimizer.step()
            optimizer.zero_grad()
    stage = kdcl(
        nets[0], nets[1:], ensemble=kind, temperature=T, weight=0.7, label_weight=0.5
    )  # fmt: skip
    settings = Settings(
        epochs=EPOCHS, optimizer=sgd(RATE), schedule=constant(), channels_last=False
    )
    fit(stage, train, settings=settings, platform=platform)
    for net, wanted in zip(nets, byhand, strict=True):
        for name, value in net.state_dict().items():
            torch.testing.assert_close(
                value, wanted.state_dict()[name], atol=1e-5, rtol=1e-5, msg=name
            )


def test_the_target_is_no_way_of_inference() -> None:
    """It reads the label: measured is the mean of the softmaxes."""
    stage = kdcl(tiny_net(4), [tiny_net(6)])
    assert dict(stage.measures) == {
        "student": "student.logits", "peer 1": "peer1.logits", "ensemble": "ensemble",
    }  # fmt: skip
    assert stage.node("ensemble").reads == ("student.logits", "peer1.logits")
    assert stage.node("target").reads[0] == "batch.label"


def test_the_defaults_are_golden() -> None:
    stage = kdcl(tiny_net(4), [tiny_net(6)])
    known = [(t.name, t.weight_at(0.0), t.options) for t in stage.terms()]
    soft = {"temperature": 4.0}
    assert known == [
        ("label", 1.0, {}), ("label_peer1", 1.0, {}),
        ("collaboration", 1.0, soft), ("collaboration_peer1", 1.0, soft),
    ]  # fmt: skip


def test_what_it_refuses() -> None:
    with pytest.raises(WiringError, match=r"kdcl.*it has no peer"):
        kdcl(tiny_net(), [])
    with pytest.raises(RecipeError, match="ensemble is 'minlogit'; nearest: min_logit"):
        kdcl(tiny_net(), [tiny_net()], ensemble="minlogit")
