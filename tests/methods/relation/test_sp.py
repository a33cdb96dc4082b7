"""SP: the loop by hand on embeddings and on maps, its heads and taps."""

import pytest
import torch
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_tiny
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.wiring import wire
from stillhouse.errors import WiringError
from stillhouse.methods import sp


def gap(mine: Tensor, theirs: Tensor) -> Tensor:
    def rows(x: Tensor) -> Tensor:
        gram = torch.einsum("id,jd->ij", x.flatten(1), x.flatten(1))
        return gram / gram.square().sum(1, keepdim=True).sqrt()

    return (rows(mine) - rows(theirs)).square().sum() / len(mine) ** 2


@pytest.mark.parametrize(("where", "at"), [("relu", 0), ("embedding", 1)])
def test_it_equals_a_loop_by_hand(where: str, at: int, train: Batches) -> None:
    gaps = []

    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        mine, theirs = of_tiny(nets["student"], batch), frozen(of_tiny, nets["teacher"], batch)
        gaps.append(gap(mine[at], theirs[at]))
        return 0.5 * labels(mine[2], batch) + 5.0 * gaps[-1]

    taps = {"student_feature": where, "teacher_feature": where}
    stage = sp(tiny_net(4, 1), tiny_net(6, 2), weight=5.0, label_weight=0.5, **taps)
    _, fitted = equals_by_hand(stage, train, objective, tolerance=(1e-5, 1e-4))
    mean = sum(gaps[-len(train) :]).item() / len(train)
    assert fitted.history[-1]["terms"]["similarity"] == pytest.approx(mean, rel=1e-4)


def test_a_tap_that_is_not_there_is_told(train: Batches) -> None:
    stage = sp(tiny_net(4, 1), tiny_net(6, 2), student_feature="conv", teacher_feature="bnn")
    with pytest.raises(WiringError, match=r"'teacher.bnn'.*nearest: bn"):
        wire(stage, train.sample())
