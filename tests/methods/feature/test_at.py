"""Attention transfer: the loop by hand, maps of other sizes and tokens, defaults, errors."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from by_hand import assert_close, fitted, looped, opened_stage, run, student_of
from torch import Tensor, nn

from stillhouse.engine.facts import facts_of
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError
from stillhouse.methods import at
from stillhouse.testing.toy import taught, toy_batches


def attention(x: Tensor) -> Tensor:
    energy = (x * x).sum(1).flatten(1)
    return energy / energy.norm(dim=1, keepdim=True).clamp(min=1e-12)  # some maps are all 0


def test_it_equals_a_hand_written_loop() -> None:
    student, teacher = student_of(4), taught(6).eval()
    mine = copy.deepcopy(student)

    def losses(image: Tensor, label: Tensor, _done: float) -> list[Tensor]:
        *maps, logits = run(mine, image)
        with torch.no_grad():
            *targets, _ = run(teacher, image)
        gaps = [F.mse_loss(attention(a), attention(b)) for a, b in zip(maps, targets, strict=True)]
        return [F.cross_entropy(logits, label) + 30.0 * sum(gaps)]

    looped([[mine]], losses)
    fitted(at(student, teacher, weight=30.0))
    assert_close(student, mine)


def test_the_defaults_are_golden() -> None:
    """CE + 1000 AT at power 2 on the ends of the stages: the CIFAR-100 benchmark of CRD."""
    stage = opened_stage(at(student_of(4), taught(6)))
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.reads) for t in stage.terms()]
    assert known == [
        ("label", "cross_entropy", 1.0, ("student.logits", "batch.label")),
        ("at1", "attention_gap", 1000.0, ("student_map1", "teacher_map1")),
        ("at2", "attention_gap", 1000.0, ("student_map2", "teacher_map2")),
    ]
    assert [t.options for t in stage.terms()][1:] == [{"power": 2.0}] * 2
    assert stage.learners == ("student",)
    assert stage.notes == {"pairs": "relu - relu, down - down"}


def test_maps_of_other_sizes_meet_at_the_smaller() -> None:
    student, teacher = student_of(4), taught(6)
    stage = at(student, teacher, pairs=(("relu", "down"), ("down", "relu")))
    seen = wire(stage, toy_batches().sample()).seen
    shapes = [
        tuple(seen[f"{who}_map{n}"].shape[1:]) for n in (1, 2) for who in ("student", "teacher")
    ]
    assert shapes == [(4, 4, 4), (6, 4, 4), (4, 4, 4), (6, 4, 4)]
    pooled = F.avg_pool2d(seen["teacher.relu"], 2)
    torch.testing.assert_close(seen["teacher_map2"], pooled)


class Patches(nn.Module):
    """Tokens [B, 17, D]: a class token and a square of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(12, 5)
        self.block = nn.Linear(5, 5)
        self.fc = nn.Linear(5, 3)

    def forward(self, image: Tensor) -> Tensor:
        patches = F.unfold(image, 2, stride=2).mT
        tokens = self.embed(torch.cat([patches.mean(1, True), patches], 1))
        return self.fc(self.block(tokens)[:, 0])


def test_tokens_pair_with_maps() -> None:
    stage = at(student_of(4), Patches(), pairs=(("down", "block"),))
    seen = wire(stage, toy_batches().sample()).seen
    assert seen["teacher_map1"].shape[1:] == (5, 4, 4)
    found = at(student_of(4), Patches()).completed(facts_of(toy_batches()))
    assert found.notes["pairs"]
    wire(found, toy_batches().sample())


def test_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        at(student_of(4), taught(4), weight=-1.0, power=0.0, label_weight=math.nan)
    assert caught.value.problems == (
        "weight is -1.0; it must be at least 0",
        "power is 0.0; it must be above 0",
        "label_weight is nan; it must be at least 0",
    )
