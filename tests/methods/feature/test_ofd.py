"""OFD: the loop by hand, its margins, what it refuses."""

import pytest
import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels
from torch import Tensor, nn

from stillhouse.bridges import batch_norm_margin
from stillhouse.engine.facts import facts_of
from stillhouse.errors import WiringError
from stillhouse.methods import ofd
from stillhouse.testing import check_method
from stillhouse.testing.toy import taught, toy_batches, untaught

PAIRS = (("bn", "bn"), ("down.1", "down.1"))


def features(net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    first = net.bn(net.conv(batch["batch.image"]))
    conv, norm, _ = net.down
    second = norm(conv(first.relu()))
    return first, second, net.fc(net.drop(second.relu().mean((2, 3))))


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    teacher = nets["teacher"]
    *mine, logits = features(nets["student"], batch)
    *theirs, _ = frozen(features, teacher, batch)
    margins = batch_norm_margin(teacher.bn), batch_norm_margin(teacher.down[1])
    value = labels(logits, batch)
    for level, (s, t, m) in enumerate(zip(mine, theirs, margins, strict=True), start=1):
        connect = nets[f"connected{level}"]
        s, t = connect.norm(F.conv2d(s, connect.conv.weight)), torch.max(t, m[:, None, None])
        gaps = torch.where((s <= t) & (t <= 0), 0.0, (s - t) ** 2)
        value = value + 0.01 * {1: 0.5, 2: 1.0}[level] * gaps.sum() / len(logits)
    return value


def test_it_equals_a_loop_by_hand() -> None:
    stage = ofd(untaught(4), taught(6), weight=0.01)
    learning, tolerance = ["student", "connected1", "connected2"], (2e-5, 2e-4)
    equals_by_hand(stage, toy_batches(), objective, learning=learning, tolerance=tolerance)


def test_margins_are_those_of_the_batch_norm_or_observed() -> None:
    teacher, train = taught(6), toy_batches()
    pairs = (("bn", "bn"), ("relu", "relu:in"), ("down", "conv"))
    whole = ofd(untaught(4), teacher, pairs=pairs).completed(facts_of(train))
    one, two, three = (whole.node(f"target{level}").module.margin for level in (1, 2, 3))
    torch.testing.assert_close(one, batch_norm_margin(teacher.bn))
    with torch.no_grad():
        x = teacher.eval().bn(teacher.conv(train.sample(128)["batch.image"]))
    seen = [x[:, c][x[:, c] < 0].mean().item() for c in range(6)]
    assert two.tolist() == pytest.approx(seen, rel=1e-4)
    assert (three <= 0).all()
    assert whole.notes["margins"].startswith("bn by its batch norm, relu:in by ")
    assert whole.complete is None


@pytest.mark.parametrize(
    "options", [{"margins": "zero"}, {"pairs": "auto"}, {"pairs": PAIRS[1:]}], ids=str
)
def test_other_choices_keep_the_contract(options: dict[str, object]) -> None:
    check_method(ofd, options=options, widths=[(4, 6)])


def test_margins_of_zero_are_for_maps_after_the_relu() -> None:
    whole = ofd(untaught(4), taught(6), margins="zero").completed(facts_of(toy_batches()))
    assert whole.notes["pairs"] == "relu - relu, down - down"


def test_what_it_refuses() -> None:
    train, after = toy_batches(), (("relu", "relu"), ("down", "bn"))
    with pytest.raises(WiringError, match=r"'relu' of the teacher has no values below 0; .*:in'"):
        ofd(untaught(4), taught(6), pairs=after).completed(facts_of(train))
    inplace = taught(6)
    inplace.relu = torch.nn.ReLU(inplace=True)
    with pytest.raises(WiringError, match=r"'relu' of the teacher .* in place .* margins: zero"):
        ofd(untaught(4), inplace).completed(facts_of(train))
    with pytest.raises(WiringError, match="no module 'bm'; nearest: bn"):
        ofd(untaught(4), taught(6), pairs=(("bn", "bm"),)).completed(facts_of(train))
