"""Factor transfer: the loop by hand with two optimisers, who learns from what, all layers."""

import pytest
import torch.nn.functional as F
from by_hand import EPOCHS, Batch, Nets, equals_by_hand, frozen, labels, of_toy
from torch import Tensor

from stillhouse.engine.facts import facts_of
from stillhouse.engine.wiring import wire
from stillhouse.methods import ft
from stillhouse.testing.toy import taught, toy_batches, untaught


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)


def gap(student: Tensor, teacher: Tensor, form: str) -> Tensor:
    if form == "maps":
        mine, theirs = (unit((x * x).mean(1).flatten(1)) for x in (student, teacher))
    else:
        mine, theirs = (unit(x.flatten(1)) for x in (student, teacher))
    return (mine - theirs).abs().mean()


@pytest.mark.parametrize("form", ["maps", "whole"])
def test_it_equals_a_loop_by_hand(form: str) -> None:
    def objective(nets: Nets, batch: Batch, epoch: float) -> list[Tensor]:
        _, late, logits = of_toy(nets["student"], batch)
        _, target, _ = frozen(of_toy, nets["teacher"], batch)
        factors = nets["paraphrased1"](target)
        apart = gap(nets["translated1"](late), factors.detach(), form)
        weight = 2.0 if epoch / EPOCHS >= 0.4 else 0.0
        rebuilt = F.mse_loss(nets["rebuilt1"](factors), target)
        return [labels(logits, batch) + weight * apart, rebuilt]

    stage = ft(untaught(4), taught(6), weight=2.0, form=form, paraphrase_share=0.4)
    learning = [["student", "translated1"], ["paraphrased1", "rebuilt1"]]
    _, fitted = equals_by_hand(
        stage, toy_batches(), objective, learning=learning, tolerance=(2e-5, 2e-5)
    )
    rebuilt = [record["terms"]["rebuild1"] for record in fitted.history]
    assert rebuilt[-1] < rebuilt[0]


def test_all_layers_have_a_paraphraser_each() -> None:
    stage = ft(untaught(4), taught(6), layers="all", paraphrase_share=0.0).completed(
        facts_of(toy_batches())
    )
    assert [update.learners for update in stage.updates] == [
        ("student", "translated1", "translated2"),
        ("paraphrased1", "rebuilt1", "paraphrased2", "rebuilt2"),
    ]
    assert [t.weight_at(0.0) for t in stage.terms()] == [1.0, 200.0, 200.0, 1.0, 1.0]


def test_factors_of_other_sizes_meet_at_the_smaller() -> None:
    stage = ft(untaught(4), taught(6), pairs=(("relu", "down"),))
    seen = wire(stage, toy_batches().sample()).seen
    assert seen["translated1"].shape[1:] == (3, 8, 8)
    assert seen["student_factor1"].shape[1:] == seen["teacher_factor1"].shape[1:] == (3, 4, 4)
