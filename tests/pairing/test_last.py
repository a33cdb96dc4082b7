"""The last map of a network, and what its head makes of it."""

import pytest
import torch
from tiny import tiny_net
from torch import nn

from stillhouse.engine.facts import facts_of
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.stage import Stage
from stillhouse.errors import ModelError, WiringError
from stillhouse.models import build_model
from stillhouse.pairing import check_pooled, check_rectified, last_map, with_last_maps
from stillhouse.pairing.paired import Pair
from stillhouse.testing.toy import taught, toy_batches, untaught

IMAGE = torch.zeros(2, 3, 32, 32)
LAST = {"resnet8": "layer3", "wrn_16_1": "relu", "mobilenet_v2": "conv2", "shufflenet_v1": "layer3"}


@pytest.mark.parametrize("name", LAST)
def test_the_last_map_is_the_one_that_is_pooled(name: str) -> None:
    net = build_model(name, classes=5)
    for module in net.modules():  # not fresh statistics: as of a network that was trained
        if isinstance(module, nn.BatchNorm2d):
            module.bias.data.uniform_(-1, 1)
    tap = last_map(net, IMAGE)
    assert tap == LAST[name]
    check_pooled(Stage("s", [Role("teacher", net)], []), tap, toy_batches())
    check_rectified(Stage("s", [Role("teacher", net)], []), tap, toy_batches())


def test_a_network_without_maps_says_so() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))
    with pytest.raises(ModelError, match=r"Sequential gives no maps .*; name a tap"):
        last_map(net, IMAGE)


def stage() -> Stage:
    return Stage("s", [Role("student", untaught(4)), Role("teacher", taught(6))], [])


def seen(known: Stage, pair: Pair) -> Stage:
    return Stage(known.name, known.nodes, [], notes={"seen": " and ".join(pair)})


def test_named_taps_are_taken_at_once_and_others_found_with_the_data() -> None:
    assert with_last_maps(stage(), ("relu", "bn"), seen).notes == {"seen": "relu and bn"}
    for named, found in {
        (None, None): "down - down",
        ("relu", None): "relu - down",
        (None, "embedding"): "down - embedding",
    }.items():
        open_stage = with_last_maps(stage(), named, seen)
        assert open_stage.complete is not None
        assert open_stage.completed(facts_of(toy_batches())).notes["pairs"] == found


def test_a_cache_has_no_layers_to_look_at() -> None:
    known = stage().replace(Bridge("teacher", lambda x: x, "batch.image"))
    with pytest.raises(WiringError, match="'teacher' is a Bridge, whose layers cannot"):
        with_last_maps(known, ("down", None), seen).completed(facts_of(toy_batches()))


def test_a_head_that_reads_something_else_is_told() -> None:
    check_pooled(stage(), "down", toy_batches())
    check_pooled(stage(), "embedding", toy_batches())
    with pytest.raises(WiringError, match="head 'fc' does not read the average of 'relu'"):
        check_pooled(stage(), "relu", toy_batches())
    with pytest.raises(WiringError, match="no module 'rel'; nearest: relu"):
        check_pooled(stage(), "rel", toy_batches())


def test_values_below_0_are_told_and_the_teacher_stays_as_it_was() -> None:
    net = tiny_net(6).train()
    known = Stage("s", [Role("teacher", net)], [])
    with pytest.raises(WiringError, match=r"'bn' .* values below 0 \(down to -.*relu: false"):
        check_rectified(known, "bn", toy_batches())
    assert net.training
    assert not net.bn._forward_hooks
