"""Matching: the best order-preserving pairs against trying all of them; likeness of maps."""

import itertools

import pytest
import torch
from torch import nn

from stillhouse.models import build_model
from stillhouse.pairing import Level, in_order, likeness, propose


@pytest.mark.parametrize(("mine", "theirs"), [(3, 6), (2, 2), (5, 3), (1, 4)])
def test_pairs_are_the_best_of_all_that_keep_the_order(mine: int, theirs: int) -> None:
    made = torch.Generator().manual_seed(mine * 10 + theirs)
    table = torch.rand(mine, theirs, generator=made)
    a = [Level(f"a{i}", (1, 2, 2)) for i in range(mine)]
    b = [Level(f"b{i}", (1, 2, 2)) for i in range(theirs)]
    found = in_order(a, b, lambda x, y: table[int(x.tap[1:]), int(y.tap[1:])].item())
    count = min(mine, theirs)
    best = max(
        sum(table[i, j].item() for i, j in zip(rows, columns, strict=True))
        for rows in itertools.combinations(range(mine), count)
        for columns in itertools.combinations(range(theirs), count)
    )
    rows, columns = zip(*((int(x.tap[1:]), int(y.tap[1:])) for x, y in found), strict=True)
    assert list(rows) == sorted(set(rows))
    assert list(columns) == sorted(set(columns))
    total = sum(table[i, j].item() for i, j in zip(rows, columns, strict=True))
    assert total == pytest.approx(best, abs=1e-6)


def test_auto_finds_the_layers_of_the_same_network_again() -> None:
    network = build_model("resnet14", classes=10)
    found = propose(network, network, torch.randn(32, 3, 32, 32), by="auto")
    assert [theirs for _, theirs in found] == [mine for mine, _ in found]


def test_levels_pair_by_resolution_when_one_network_has_more() -> None:
    deep = nn.Sequential(
        *(nn.Sequential(nn.Conv2d(n, 4, 3, 2, 1), nn.ReLU()) for n in (3, 4, 4)),
        nn.Flatten(),
        nn.Linear(64, 2),
    )
    found = propose(build_model("resnet8", classes=2), deep, torch.zeros(2, 3, 32, 32))
    assert found == (("layer1", "0"), ("layer2", "1"), ("layer3", "2"))


def test_likeness_sees_channels_at_positions_of_different_maps() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 4, 8, 8)
    turned = torch.einsum("bchw,cd->bdhw", x, torch.linalg.qr(torch.randn(4, 4)).Q)
    assert likeness(x, turned) == pytest.approx(1.0, abs=1e-6)
    assert likeness(x, torch.randn(64, 4, 8, 8)) < 0.05
    tokens = x.flatten(2).mT
    assert likeness(x, tokens) == pytest.approx(1.0, abs=1e-6)
