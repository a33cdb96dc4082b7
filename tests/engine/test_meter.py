"""Means without waiting, and the exact step of a bad value."""

import pytest
import torch

from stillhouse.engine.meter import Meter
from stillhouse.errors import NonFiniteLoss


def test_means_are_those_of_all_steps_whenever_one_looks() -> None:
    made = torch.Generator().manual_seed(0)
    values = torch.rand(17, 2, generator=made)
    meter = Meter(["a", "b"])
    for step, row in enumerate(values):
        meter.add(row, step=step)
        if step in (3, 4, 11):
            meter.look()
    meter.look()
    meter.look()
    assert meter.means() == pytest.approx(
        dict(zip("ab", values.double().mean(0).tolist(), strict=True)), abs=1e-12
    )
    meter.reset()
    assert meter.means() == {"a": 0.0, "b": 0.0}
    meter.add(torch.tensor([2.0, 4.0]), step=17)
    meter.look()
    assert meter.means() == {"a": 2.0, "b": 4.0}


def test_the_first_bad_value_is_named_although_one_looks_later() -> None:
    meter = Meter(["a", "b"])
    rows = [[1.0, 1.0], [1.0, float("inf")], [float("nan"), 1.0]]
    for step, row in enumerate(rows, start=40):
        meter.add(torch.tensor(row), step=step)
    with pytest.raises(NonFiniteLoss, match="term 'b' is not finite at step 41; no check") as found:
        meter.look()
    assert "at step 41; all is lost. Lower" in str(found.value.kept("all is lost"))


def test_no_graph_is_held() -> None:
    meter = Meter(["a"])
    weight = torch.ones(1, requires_grad=True)
    meter.add(weight * 2, step=0)
    assert not meter._recent[0][1].requires_grad


def test_a_state_is_a_copy_and_comes_back() -> None:
    meter = Meter(["a"])
    meter.add(torch.tensor([3.0]), step=0)
    meter.look()
    state = meter.state_dict()
    meter.add(torch.tensor([9.0]), step=1)
    meter.look()
    other = Meter(["a"])
    other.load_state_dict(state)
    other.add(torch.tensor([5.0]), step=1)
    other.look()
    assert (meter.means(), other.means()) == ({"a": 6.0}, {"a": 4.0})
