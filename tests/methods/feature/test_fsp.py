"""FSP: the loop by hand in phases and together, of equal and of other widths."""

import pytest
import torch
import torch.nn.functional as F
from by_hand import EPOCHS, Batch, Nets, equals_by_hand, frozen, labels, of_toy
from torch import Tensor

from stillhouse.engine.facts import facts_of
from stillhouse.errors import RecipeError
from stillhouse.methods import fsp
from stillhouse.testing.toy import taught, toy_batches, untaught


def gram(early: Tensor, late: Tensor) -> Tensor:
    return torch.einsum("bchw,bdhw->bcd", F.avg_pool2d(early, 2), late) / (4 * 4)


@pytest.mark.parametrize("share", [0.0, 0.4])
@pytest.mark.parametrize("width", [4, 6])
def test_it_equals_a_loop_by_hand(share: float, width: int) -> None:
    widened = [] if width == 4 else ["widened1", "widened2"]

    def objective(nets: Nets, batch: Batch, epoch: float) -> Tensor:
        *maps, logits = of_toy(nets["student"], batch)
        for at, name in enumerate(widened):  # a 1x1 convolution and batch norm
            maps[at] = nets[name].norm(nets[name].conv(maps[at]))
        *targets, _ = frozen(of_toy, nets["teacher"], batch)
        flows = 3.0 * F.mse_loss(gram(*maps), gram(*targets))
        if not share:
            return flows + labels(logits, batch)
        first = epoch / EPOCHS < share
        return flows * first + labels(logits, batch) * (not first)

    stage = fsp(untaught(4), taught(width), weight=3.0, init_share=share)
    tolerance, learning = (2e-5, 2e-5), ["student", *widened]
    stage, _ = equals_by_hand(
        stage, toy_batches(), objective, learning=learning, tolerance=tolerance
    )
    assert [stage.node(f"widened{n}").module is None for n in (1, 2)] == [width == 4] * 2


def test_a_flow_needs_two_pairs() -> None:
    with pytest.raises(RecipeError, match="there is 1; name at least two pairs of taps"):
        fsp(untaught(4), taught(4), pairs=(("down", "down"),)).completed(facts_of(toy_batches()))
