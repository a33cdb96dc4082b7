"""MGD: the loop by hand, with the mask of each step."""

import pytest
import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_toy
from torch import Tensor

from stillhouse.errors import RecipeError
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


def at_levels(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    *maps, logits = of_toy(nets["student"], batch)
    *targets, _ = frozen(of_toy, nets["teacher"], batch)
    gaps = []
    for number, (x, target) in enumerate(zip(maps, targets, strict=True), start=1):
        align, _, first, _, second = nets[f"generated{number}"].layers
        kept = (torch.rand(len(x), 1, *x.shape[2:]) >= SHARE).float()
        aligned = F.conv2d(x, align.weight, align.bias) * kept
        hidden = F.conv2d(aligned, first.weight, first.bias, padding=1).relu()
        made = F.conv2d(hidden, second.weight, second.bias, padding=1)
        gaps.append((made - target).square().sum() / len(x))
    return labels(logits, batch) + 0.002 * sum(gaps)


def test_positions_masked_at_all_levels_equal_a_loop_by_hand() -> None:
    settings = {"weight": 0.002, "masked": SHARE, "mask": "positions", "pairs": "levels"}
    stage = mgd(untaught(4), taught(6), **settings)
    learning = ["student", "generated1", "generated2"]
    equals_by_hand(stage, toy_batches(), at_levels, learning=learning, tolerance=(2e-5, 2e-4))


def test_pairs_and_a_feature_are_one_too_many() -> None:
    with pytest.raises(RecipeError, match="name one of them"):
        mgd(untaught(4), taught(6), pairs="levels", student_feature="down")


def test_other_taps_keep_the_contract() -> None:
    taps = {"student_feature": "down", "teacher_feature": "relu", "weight": 1e-3}
    check_method(mgd, options=taps, widths=[(4, 6)])
