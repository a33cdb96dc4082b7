"""Factor transfer: the loop by hand with two optimisers, who learns from what, all layers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from by_hand import assert_close, fitted, looped, opened_stage, run, student_of
from torch import Tensor, nn

from stillhouse.engine.wiring import wire
from stillhouse.methods import ft
from stillhouse.testing.toy import taught, toy_batches


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)


def gap(student: Tensor, teacher: Tensor, form: str) -> Tensor:
    if form == "maps":
        mine, theirs = (unit((x * x).mean(1).flatten(1)) for x in (student, teacher))
    else:
        mine, theirs = (unit(x.flatten(1)) for x in (student, teacher))
    return (mine - theirs).abs().mean()


@pytest.mark.parametrize("form", ["maps", "whole"])
def test_it_equals_a_hand_written_loop(form: str) -> None:
    student, teacher = student_of(4), taught(6).eval()
    stage = opened_stage(ft(student, teacher, weight=2.0, form=form, paraphrase_share=0.4))
    parts = {n: stage.node(n).module for n in ("paraphrased1", "rebuilt1", "translated1")}
    mine, hand = copy.deepcopy(student), copy.deepcopy(parts)

    def losses(image: Tensor, label: Tensor, done: float) -> list[Tensor]:
        _, late, logits = run(mine, image)
        with torch.no_grad():
            target = run(teacher, image)[1]
        factors = hand["paraphrased1"](target)
        apart = gap(hand["translated1"](late), factors.detach(), form)
        weight = 2.0 if done >= 0.4 else 0.0
        rebuilt = F.mse_loss(hand["rebuilt1"](factors), target)
        return [F.cross_entropy(logits, label) + weight * apart, rebuilt]

    looped([[mine, hand["translated1"]], [hand["paraphrased1"], hand["rebuilt1"]]], losses)
    history = fitted(stage)
    assert_close(student, mine)
    for name, part in parts.items():
        assert_close(part, hand[name])
    assert history[-1]["terms"]["rebuild1"] < history[0]["terms"]["rebuild1"]


def test_the_defaults_are_golden() -> None:
    """CE + 200 FT on the last maps, factors of half the width: the CIFAR-100 benchmark of CRD."""
    stage = opened_stage(ft(student_of(4), taught(6)))
    known = [(t.name, t.loss.__name__, t.weight_at(30.0, 240.0)) for t in stage.terms()]
    assert known == [("label", "cross_entropy", 1.0), ("ft1", "factor_gap", 200.0),
                     ("rebuild1", "mse", 1.0)]  # fmt: skip
    terms = {t.name: t for t in stage.terms()}
    assert terms["ft1"].weight_at(29.9, 240.0) == 0.0
    assert terms["ft1"].options == {"form": "maps"}
    assert stage.node("student_map1").reads == ("student.down",)
    kinds = [type(layer) for layer in stage.node("translated1").module]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 3
    assert [type(layer) for layer in stage.node("paraphrased1").module] == [
        nn.Conv2d, nn.LeakyReLU] * 3  # fmt: skip
    assert stage.node("paraphrased1").module[2].out_channels == 3


def test_all_layers_have_a_paraphraser_each() -> None:
    stage = opened_stage(ft(student_of(4), taught(6), layers="all", paraphrase_share=0.0))
    assert [update.learners for update in stage.updates] == [
        ("student", "translated1", "translated2"),
        ("paraphrased1", "rebuilt1", "paraphrased2", "rebuilt2"),
    ]
    assert [t.weight_at(0.0) for t in stage.terms()] == [1.0, 200.0, 200.0, 1.0, 1.0]


def test_factors_of_other_sizes_meet_at_the_smaller() -> None:
    stage = ft(student_of(4), taught(6), pairs=(("relu", "down"),))
    seen = wire(stage, toy_batches().sample()).seen
    assert seen["translated1"].shape[1:] == (3, 8, 8)
    assert seen["student_factor1"].shape[1:] == seen["teacher_factor1"].shape[1:] == (3, 4, 4)
