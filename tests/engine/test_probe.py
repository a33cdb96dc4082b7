"""The probe lists what can be tapped, and only that."""

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.probe import probe_taps
from stillhouse.errors import ModelError


class Odd(nn.Module):
    """Runs one part twice, one never, one that gives a tuple, and one after its successor."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.twice, self.never = nn.Linear(6, 3), nn.ReLU(), nn.Linear(1, 1)
        self.pair = Pair()

    def forward(self, image: Tensor) -> Tensor:
        one, two = self.pair(image)
        return self.fc(self.twice(one) + self.twice(two))


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        value = self.first(image)
        return value, -value


def test_taps_are_listed_in_the_order_in_which_they_run() -> None:
    rows = [(row.tap, row.shape) for row in probe_taps(Odd(), [5])]
    assert rows == [("pair.first", "[B, 6]"), ("fc", "[B, 3]")], "its last Linear is no head"


def test_every_listed_tap_can_be_tapped() -> None:
    net = tiny_net()
    rows = probe_taps(net, [3, 8, 8])
    role = Role("student", net)
    role.open([row.tap for row in rows])
    given = role.run({"batch.image": torch.zeros(2, 3, 8, 8)})
    role.close()
    for row in rows:
        shape = ", ".join(str(n) for n in given[f"student.{row.tap}"].shape[1:])
        assert row.shape == f"[B, {shape}]", row.tap
    assert [row.kind for row in rows[1:]] == ["Conv2d", "BatchNorm2d", "ReLU", "Dropout", "Linear"]


def test_a_probe_leaves_the_model_as_it_was() -> None:
    net = tiny_net().train()
    net.bn.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}

    def fail() -> None:
        with pytest.raises(ModelError, match=r"TinyNet does not take images \[5, 8, 8\]"):
            probe_taps(net, [5, 8, 8])

    for probe in (lambda: probe_taps(net, [3, 8, 8]), fail):
        probe()
        assert [part.training for part in net.children()] == [True, False, True, True, True]
        assert not any(part._forward_hooks for part in net.modules())
        assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_model_without_a_head_has_no_embedding() -> None:
    rows = probe_taps(nn.Sequential(nn.Conv2d(1, 2, 1)), [1, 4, 4])
    assert [row.tap for row in rows] == ["0"]


@pytest.mark.parametrize("batch", [2, 3])
def test_shapes_without_the_batch_are_shown_in_full(batch: int) -> None:
    class Fixed(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.zeros(7, batch)

    (row,) = probe_taps(nn.Sequential(Fixed()), [1, 4, 4])
    assert row.shape == f"[7, {batch}]"
