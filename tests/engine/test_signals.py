"""Names of signals, and terms on them."""

import pytest
import torch

from stillhouse.engine.signals import as_names, owner, part, shape_text, to_device
from stillhouse.engine.terms import Term, ramp


@pytest.mark.parametrize(
    ("signal", "node", "rest"),
    [("batch.label", "batch", "label"), ("a.b.0:in", "a", "b.0:in"), ("p", "p", "")],
)
def test_a_name_is_a_node_and_a_part(signal: str, node: str, rest: str) -> None:
    assert (owner(signal), part(signal)) == (node, rest)


def test_one_name_is_not_cut_into_letters() -> None:
    assert as_names("ab") == ("ab",)
    assert as_names(iter(["a", "b"])) == ("a", "b")
    assert as_names([]) == ()


def test_shapes_are_written_like_lists() -> None:
    assert (shape_text(torch.zeros(2, 0)), shape_text(torch.tensor(1.0))) == ("[2, 0]", "[]")


def test_a_batch_keeps_names_and_types() -> None:
    moved = to_device({"batch.label": torch.tensor([1])}, torch.device("meta"))
    assert moved["batch.label"].device.type == "meta"
    assert moved["batch.label"].dtype == torch.int64


def test_only_the_first_signal_learns_unless_through() -> None:
    def gap(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, *, power: int) -> torch.Tensor:
        return ((a - b) ** power + c).sum(1)

    for through in (False, True):
        a, b, c = (torch.full((2, 3), v, requires_grad=True) for v in (3.0, 1.0, 5.0))
        term = Term("gap", gap, ["x.a", "x.b", "x.c"], through=through, options={"power": 2})
        value = term.value({"x.a": a, "x.b": b, "x.c": c})
        assert value.item() == 3 * (4 + 5), "mean over the batch of a sum, without the weight"
        value.backward()
        assert a.grad is not None
        assert (b.grad is not None) is (c.grad is not None) is through


def test_weights_are_numbers_or_functions_of_the_epoch() -> None:
    assert Term("t", torch.add, "a", weight=2).weight_at(7.5) == 2.0
    grow = Term("t", torch.add, "a", weight=ramp(8.0, epochs=20))
    assert [grow.weight_at(e) for e in (0.0, 2.5, 20.0, 21.0)] == [0.0, 1.0, 8.0, 8.0]
    assert ramp(3.0, epochs=0)(0.0) == 3.0


def test_a_loss_that_is_a_module_is_known() -> None:
    assert Term("t", torch.nn.MSELoss(), ["a", "b"]).module is not None
    assert Term("t", torch.add, ["a", "b"]).module is None
