"""FitNets: the loop by hand in one and in two stages, the choice of the hint, what it refuses."""

import copy

import pytest
import torch
import torch.nn.functional as F
from by_hand import assert_close, fitted, looped, opened_stage, run, student_of
from torch import Tensor

from stillhouse.engine.facts import facts_of
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError
from stillhouse.functional import kl
from stillhouse.methods import fitnet
from stillhouse.testing.toy import taught, toy_batches


@pytest.mark.parametrize("stages", ["one", "two"])
@pytest.mark.parametrize("width", [4, 6])
def test_it_equals_a_hand_written_loop(stages: str, width: int) -> None:
    student, teacher = student_of(4), taught(width).eval()
    settings = {"weight": 3.0, "kd_weight": 0.5, "temperature": 2.0, "hint_share": 0.4}
    stage = opened_stage(fitnet(student, teacher, stages=stages, **settings))
    mine, regressor = copy.deepcopy(student), copy.deepcopy(stage.node("hinted").module)

    def losses(image: Tensor, label: Tensor, done: float) -> list[Tensor]:
        _, late, logits = run(mine, image)
        with torch.no_grad():
            _, target, theirs = run(teacher, image)
        hint = 3.0 * F.mse_loss(regressor(late), target)
        other = F.cross_entropy(logits, label) + 0.5 * kl(logits, theirs, temperature=2.0).mean()
        if stages == "one":
            return [hint + other]
        return [hint + 0.0 * other] if done < 0.4 else [0.0 * hint + other]

    looped([[mine, regressor]], losses)
    fitted(stage)
    assert_close(student, mine)
    assert_close(stage.node("hinted").module, regressor)


def test_the_defaults_are_golden() -> None:
    """CE + 100 mse of the regressor on the middle map: the CIFAR-100 benchmark of CRD."""
    stage = opened_stage(fitnet(student_of(4), taught(6)))
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.reads) for t in stage.terms()]
    assert known == [
        ("label", "cross_entropy", 1.0, ("student.logits", "batch.label")),
        ("hint", "mse", 100.0, ("hinted", "target")),
    ]
    assert stage.node("hinted").reads == ("student.down",)
    assert stage.learners == ("student", "hinted")


@pytest.mark.parametrize(("hint", "tap"), [(0, "relu"), (1, "conv"), (2, "relu"), (3, "down")])
def test_the_hint_is_the_middle_pair_or_the_one_that_is_named(hint: int, tap: str) -> None:
    taps = tuple((name, name) for name in ("conv", "relu", "down"))
    stage = fitnet(student_of(4), taught(6), pairs=taps, hint=hint)
    assert stage.node("hinted").reads == (f"student.{tap}",)
    assert stage.node("target").reads == (f"teacher.{tap}",)


def test_two_stages_take_turns() -> None:
    stage = fitnet(student_of(4), taught(6), stages="two", kd_weight=1.0, pairs=(("down", "down"),))
    at = {t.name: [t.weight_at(e, 240.0) for e in (0.0, 29.9, 30.0, 240.0)] for t in stage.terms()}
    assert at == {
        "label": [0.0, 0.0, 1.0, 1.0],
        "kd": [0.0, 0.0, 1.0, 1.0],
        "hint": [100.0, 100.0, 0.0, 0.0],
    }


def test_a_map_of_another_size_is_brought_to_the_teachers() -> None:
    stage = fitnet(student_of(4), taught(6), pairs=(("relu", "down"),))
    assert wire(stage, toy_batches().sample()).seen["hinted"].shape[1:] == (6, 4, 4)


def test_a_pair_that_is_not_there_is_told() -> None:
    with pytest.raises(RecipeError, match="hint is 3, and there are 2 pairs; choose 1 to 2"):
        fitnet(student_of(4), taught(6), hint=3).completed(facts_of(toy_batches()))
    with pytest.raises(RecipeError, match=r"stages is 'three'.*\n.*hint_share is 1.5"):
        fitnet(student_of(4), taught(6), stages="three", hint_share=1.5)
