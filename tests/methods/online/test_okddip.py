"""OKDDip: the loop by hand with attention among the peers, and what it refuses."""

import copy
import math

import pytest
import torch
from by_hand import EPOCHS, Batch, Nets, equals_by_hand, labels, of_tiny, softened, wired
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.wiring import wire
from stillhouse.errors import WiringError
from stillhouse.methods import okddip

T, WIDTH = 2.0, 16
PEERS = ["peer1", "peer2", "peer3"]


def objective(nets: Nets, batch: Batch, epoch: float) -> Tensor:
    """The targets are no constants: the attention and the peers learn through them."""
    own = nets["student"](batch["batch.image"])
    heard, logits = zip(*(of_tiny(nets[name], batch)[1:] for name in PEERS), strict=True)
    query, key = nets["attention"].query, nets["attention"].key
    grown = 0.7 * math.exp(-5 * (1 - min(epoch / EPOCHS / 0.5, 1)) ** 2)
    loss = 0.5 * sum(labels(z, batch) for z in [own, *logits])
    loss = loss + grown * softened(own, sum(logits) / 3, T)
    for mine, z in zip(heard, logits, strict=True):
        scores = torch.stack([(query(mine) * key(h)).sum(1) for h in heard], 1).softmax(1)
        target = sum(scores[:, [b]] * logits[b] for b in range(3))
        loss = loss + grown * softened(z, target, T)
    return loss


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    peers = [tiny_net(WIDTH, at) for at in (2, 3, 4)]
    settings = {"temperature": T, "weight": 0.7, "label_weight": 0.5, "rampup": 0.5}
    stage = wired(okddip(tiny_net(4, 1), peers, **settings), train)
    before = copy.deepcopy(stage.node("attention").module.query.weight)
    learning = ["student", *PEERS, "attention"]
    stage, _ = equals_by_hand(stage, train, objective, learning=learning)
    query = stage.node("attention").module.query
    assert query.out_features == WIDTH // 8
    assert not torch.equal(query.weight, before), "the attention learns"


def test_the_group_is_the_peers_without_the_leader() -> None:
    stage = okddip(tiny_net(4), [tiny_net(8) for _ in range(3)])
    terms = {term.name: term for term in stage.terms()}
    assert list(terms)[4:] == ["leader", "group_peer1", "group_peer2", "group_peer3"]
    assert all(terms[name].through for name in list(terms)[4:])
    assert stage.node("group").reads == ("peer1.logits", "peer2.logits", "peer3.logits")
    assert list(stage.measures) == ["student", "peer 1", "peer 2", "peer 3", "ensemble"]


def test_peers_of_several_widths_are_refused(train: Batches) -> None:
    with pytest.raises(WiringError, match="embeddings of the peers are 4, 6 wide; choose peers of"):
        wire(okddip(tiny_net(), [tiny_net(4, 1), tiny_net(6, 2)]), train.sample())
