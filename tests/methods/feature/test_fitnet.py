"""FitNets: the loop by hand in one and in two stages, the choice of the hint."""

import pytest
import torch.nn.functional as F
from by_hand import EPOCHS, Batch, Nets, equals_by_hand, frozen, labels, of_toy, softened
from torch import Tensor

from stillhouse.engine.facts import facts_of
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError
from stillhouse.methods import fitnet
from stillhouse.testing.toy import taught, toy_batches, untaught


@pytest.mark.parametrize("stages", ["one", "two"])
@pytest.mark.parametrize("width", [4, 6])
def test_it_equals_a_loop_by_hand(stages: str, width: int) -> None:
    def objective(nets: Nets, batch: Batch, epoch: float) -> Tensor:
        _, late, logits = of_toy(nets["student"], batch)
        _, target, theirs = frozen(of_toy, nets["teacher"], batch)
        hint = 3.0 * F.mse_loss(nets["hinted"](late), target)
        other = labels(logits, batch) + 0.5 * softened(logits, theirs, 2.0)
        if stages == "one":
            return hint + other
        first = epoch / EPOCHS < 0.4
        return hint * first + other * (not first)

    settings = {"weight": 3.0, "kd_weight": 0.5, "temperature": 2.0, "hint_share": 0.4}
    stage = fitnet(untaught(4), taught(width), stages=stages, **settings)
    learning, tolerance = ["student", "hinted"], (2e-5, 2e-5)
    equals_by_hand(stage, toy_batches(), objective, learning=learning, tolerance=tolerance)


@pytest.mark.parametrize(("hint", "tap"), [(0, "relu"), (1, "conv"), (2, "relu"), (3, "down")])
def test_the_hint_is_the_middle_pair_or_the_one_that_is_named(hint: int, tap: str) -> None:
    taps = tuple((name, name) for name in ("conv", "relu", "down"))
    stage = fitnet(untaught(4), taught(6), pairs=taps, hint=hint)
    assert stage.node("hinted").reads == (f"student.{tap}",)
    assert stage.node("target").reads == (f"teacher.{tap}",)


def test_a_map_of_another_size_is_brought_to_the_teachers() -> None:
    stage = fitnet(untaught(4), taught(6), pairs=(("relu", "down"),))
    assert wire(stage, toy_batches().sample()).seen["hinted"].shape[1:] == (6, 4, 4)


def test_a_pair_that_is_not_there_is_told() -> None:
    with pytest.raises(RecipeError, match="hint is 3, and there are 2 pairs; choose 1 to 2"):
        fitnet(untaught(4), taught(6), hint=3).completed(facts_of(toy_batches()))
