"""Submodules of a learner that keep their bits, such as a classifier that was taken over."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Ema, Role
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.schedules import constant
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings
from stillhouse.errors import WiringError
from stillhouse.functional import cross_entropy
from stillhouse.methods import plain

DECAY = sgd(0.1, weight_decay=0.1)
SETTINGS = Settings(epochs=2, optimizer=DECAY, schedule=constant(), channels_last=False)


def test_frozen_head_is_what_a_hand_written_loop_leaves_out_of_its_optimiser(
    train: Batches, platform: Platform
) -> None:
    net = tiny_net(4, 1)
    mine = copy.deepcopy(net).train()
    learning = [p for name, p in mine.named_parameters() if not name.startswith("fc")]
    optimizer = torch.optim.SGD(learning, 0.1, momentum=0.9, weight_decay=0.1, fused=True)
    for epoch in range(2):
        for batch in train.epoch(epoch):
            optimizer.zero_grad()
            F.cross_entropy(mine(batch["batch.image"]), batch["batch.label"]).backward()
            optimizer.step()
    fitted = fit(plain(net).freeze("student", ["fc"]), train, settings=SETTINGS, platform=platform)
    for key, value in mine.state_dict().items():
        assert torch.allclose(fitted.last["student"][key], value, atol=1e-6), key
    assert torch.equal(fitted.last["student"]["fc.weight"], tiny_net(4, 1).fc.weight)
    assert not torch.equal(fitted.last["student"]["conv.weight"], tiny_net(4, 1).conv.weight)


def test_frozen_head_keeps_its_bits_in_an_ema_too(train: Batches, platform: Platform) -> None:
    role = Role("student", tiny_net(4, 1), frozen="fc")
    terms = [Term("label", cross_entropy, ["student.logits", "batch.label"])]
    stage = Stage("s", [role, Ema("mean", role, decay=0.7)], [Update("student", terms)])
    last = fit(stage, train, settings=SETTINGS, platform=platform).last
    head = tiny_net(4, 1).fc
    for node in ("student", "mean"):
        assert torch.equal(last[node]["fc.weight"], head.weight)
        assert torch.equal(last[node]["fc.bias"], head.bias)
    assert not torch.equal(last["mean"]["conv.weight"], tiny_net(4, 1).conv.weight)


def test_frozen_batch_norm_keeps_its_statistics(train: Batches, platform: Platform) -> None:
    last = fit(
        plain(tiny_net(4, 1)).freeze("student", ["bn"]), train, settings=SETTINGS, platform=platform
    ).last
    assert torch.equal(last["student"]["bn.running_mean"], torch.zeros(4))
    assert last["student"]["bn.num_batches_tracked"] == 0


def test_flags_are_as_before_after_the_fit(train: Batches, platform: Platform) -> None:
    net = tiny_net(4, 1)
    fit(plain(net).freeze("student", ["fc"]), train, settings=SETTINGS, platform=platform)
    assert net.fc.weight.requires_grad
    assert net.fc.training


def test_a_frozen_part_that_is_not_there(train: Batches, platform: Platform) -> None:
    with pytest.raises(WiringError, match=r"frozen: .*'head'.*fc"):
        fit(
            plain(tiny_net()).freeze("student", ["head"]),
            train,
            settings=SETTINGS,
            platform=platform,
        )


def test_everything_frozen_says_that_nothing_learns(train: Batches, platform: Platform) -> None:
    with pytest.raises(WiringError, match="parameters of it are frozen"):
        fit(
            plain(tiny_net()).freeze("student", ["conv", "bn", "fc"]),
            train,
            settings=SETTINGS,
            platform=platform,
        )
