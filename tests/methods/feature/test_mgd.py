"""MGD: the loop by hand, with the mask of each step."""

import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_toy
from torch import Tensor

from stillhouse.methods import mgd
from stillhouse.testing import check_method
from stillhouse.testing.toy import taught, toy_batches, untaught

SHARE = 0.3


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    _, late, logits = of_toy(nets["student"], batch)
    align, _, first, _, second = nets["generated"].layers
    aligned = F.conv2d(late, align.weight, align.bias)
    kept = (torch.rand(len(late), 6)[:, :, None, None] >= SHARE).float()
    hidden = F.conv2d(aligned * kept, first.weight, first.bias, padding=1).relu()
    made = F.conv2d(hidden, second.weight, second.bias, padding=1)
    _, target, _ = frozen(of_toy, nets["teacher"], batch)
    return 0.5 * labels(logits, batch) + 0.002 * (made - target).square().sum() / len(late)


def test_it_equals_a_loop_by_hand() -> None:
    stage = mgd(untaught(4), taught(6), weight=0.002, masked=SHARE, label_weight=0.5)
    learning, tolerance = ["student", "generated"], (2e-5, 2e-4)
    equals_by_hand(stage, toy_batches(), objective, learning=learning, tolerance=tolerance)


def test_other_taps_keep_the_contract() -> None:
    taps = {"student_feature": "down", "teacher_feature": "relu", "weight": 1e-3}
    check_method(mgd, options=taps, widths=[(4, 6)])
