"""OKDDip: a hand-written training with attention among the peers, and what it refuses."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.seeding import seeded
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import WiringError
from stillhouse.methods import okddip

RATE, EPOCHS, SEED, T, WIDTH = 0.1, 2, 7, 2.0, 16


def soft(mine: Tensor, theirs: Tensor) -> Tensor:
    """The target is no constant: the attention and the peers learn through it."""
    log_q = (theirs / T).log_softmax(1)
    return T**2 * (log_q.exp() * (log_q - (mine / T).log_softmax(1))).sum(1).mean()


def test_it_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    cohort: list[nn.Module] = [tiny_net(4, 1), *(tiny_net(WIDTH, at) for at in (2, 3, 4))]
    leader, *group = byhand = [copy.deepcopy(net).train() for net in cohort]
    with seeded(SEED, "fit"), seeded(SEED, "init", "attention"):
        query, key = (nn.Linear(WIDTH, WIDTH // 8, bias=False) for _ in range(2))
    optimizer = torch.optim.SGD(
        [p for net in [*byhand, query, key] for p in net.parameters()], RATE, momentum=0.9,
        weight_decay=5e-4, fused=True,
    )  # fmt: skip
    steps, at = EPOCHS * len(train), 0
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            image, label = batch["batch.image"], batch["batch.label"]
            heard = [n.relu(n.bn(n.conv(image))).mean((2, 3)) for n in group]
            logits = [n.fc(h) for n, h in zip(group, heard, strict=True)]
            own = leader(image)
            grown = 0.7 * math.exp(-5 * (1 - min(at / steps / 0.5, 1)) ** 2)
            loss = 0.5 * sum(F.cross_entropy(z, label) for z in [own, *logits])
            loss = loss + grown * soft(own, sum(logits) / 3)
            for mine, z in zip(heard, logits, strict=True):
                scores = torch.stack([(query(mine) * key(h)).sum(1) for h in heard], 1).softmax(1)
                target = sum(scores[:, [b]] * logits[b] for b in range(3))
                loss = loss + grown * soft(z, target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            at += 1
    stage = okddip(
        cohort[0], cohort[1:], temperature=T, weight=0.7, label_weight=0.5, rampup=0.5
    )  # fmt: skip
    settings = Settings(
        epochs=EPOCHS, seed=SEED, optimizer=sgd(RATE), schedule=constant(), channels_last=False
    )
    before = copy.deepcopy(query.weight)
    fitted = fit(stage, train, settings=settings, platform=platform)
    for name, net in zip(["student", "peer1", "peer2", "peer3"], byhand, strict=True):
        for part, value in net.state_dict().items():
            found = fitted.last[name][part]
            torch.testing.assert_close(found, value, atol=1e-5, rtol=1e-5, msg=f"{name}.{part}")
    found = fitted.last["attention"]
    torch.testing.assert_close(found["query.weight"], query.weight, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found["key.weight"], key.weight, atol=1e-6, rtol=1e-5)
    assert not torch.equal(found["query.weight"], before), "the attention learns"


def test_the_defaults_are_golden() -> None:
    stage = okddip(tiny_net(4), [tiny_net(8) for _ in range(3)])
    terms = {term.name: term for term in stage.terms()}
    assert list(terms)[4:] == ["leader", "group_peer1", "group_peer2", "group_peer3"]
    assert all(terms[name].through for name in list(terms)[4:])
    assert terms["leader"].options == {"temperature": 3.0}
    assert stage.node("group").reads == ("peer1.logits", "peer2.logits", "peer3.logits")
    assert list(stage.measures) == ["student", "peer 1", "peer 2", "peer 3", "ensemble"]


def test_what_it_refuses(train: Batches) -> None:
    with pytest.raises(WiringError, match=r"okddip.*it has no peer"):
        okddip(tiny_net(), [])
    with pytest.raises(WiringError, match="embeddings of the peers are 4, 6 wide; choose peers of"):
        wire(okddip(tiny_net(), [tiny_net(4, 1), tiny_net(6, 2)]), train.sample())
