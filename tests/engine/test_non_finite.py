"""A loss that becomes nan stops the fit, says when, and harms no checkpoint."""

import re
from pathlib import Path

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.checkpoint import CHECKPOINT, Checkpoint
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings
from stillhouse.errors import NonFiniteLoss
from stillhouse.functional import cross_entropy
from stillhouse.methods import plain

NEVER = -9
EVERY_STEP = Settings(epochs=3, checkpoint_seconds=0.0)


LOOKS_AHEAD = 2
"""The dry run, and a batch on which it is seen whether each term teaches."""


class Breaking(nn.Module):
    """Becomes nan or inf in one step; what comes before the first one is not counted."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__()
        self.step, self.value, self.runs = step, value, -LOOKS_AHEAD

    def forward(self, scores: Tensor) -> Tensor:
        self.runs += 1
        return scores.mean(1) + (self.value if self.runs == self.step + 1 else 0.0)


def breaking(step: int, value: float = float("nan"), weight: float = 0.1) -> Stage:
    terms = [
        Term("label", cross_entropy, ["student.logits", "batch.label"]),
        Term("odd", Breaking(step, value), ["student.logits"], weight=weight),
    ]
    return Stage("s", [Role("student", tiny_net(4, 1))], [Update("student", terms)])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("weight", [0.1, 0.0])
def test_term_and_step_are_named(
    value: float, weight: float, train: Batches, platform: Platform
) -> None:
    stage = breaking(7, value, weight)
    weights = []
    stage.role("student").module.fc.register_forward_pre_hook(
        lambda part, _: weights.append(part.weight.detach().clone())
    )
    with pytest.raises(NonFiniteLoss, match="no checkpoint was written yet") as caught:
        fit(stage, train, settings=Settings(epochs=3), platform=platform)
    assert (caught.value.term, caught.value.step) == ("odd", 7)
    assert "term 'odd' is not finite at step 7" in str(caught.value)
    assert torch.equal(stage.role("student").module.fc.weight, weights[-1]), "it did not move"
    assert torch.isfinite(weights[-1]).all()


@pytest.mark.parametrize(("step", "at"), [(1, "epoch 1, step 1"), (5, "epoch 2, step 0"),
                                          (8, "epoch 2, step 3")])  # fmt: skip
def test_the_kept_checkpoint_is_named_and_loads(
    step: int, at: str, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    with pytest.raises(NonFiniteLoss) as caught:
        fit(
            breaking(step),
            train,
            settings=EVERY_STEP,
            platform=platform,
            directory=tmp_path,
            identity="x",
        )
    path = tmp_path / CHECKPOINT
    assert f"the checkpoint of {at} is kept in {path}" in str(caught.value)
    state = Checkpoint(path, "x").load(torch.device("cpu"))
    progress = state["progress"]
    assert f"epoch {progress['epoch'] + 1}, step {progress['step']}" == at
    assert all(torch.isfinite(value).all() for value in state["nodes"]["student"].values())

    stage = breaking(NEVER)
    whole = breaking(NEVER)
    fit(stage, train, settings=EVERY_STEP, platform=platform, directory=tmp_path, identity="x")
    fit(whole, train, settings=EVERY_STEP, platform=platform)
    for a, b in zip(*(s.role("student").module.parameters() for s in (stage, whole)), strict=True):
        assert torch.equal(a, b), "and goes on as if nothing had happened"


def test_a_resumed_fit_still_knows_its_checkpoint(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    with pytest.raises(NonFiniteLoss):
        fit(breaking(3), train, settings=EVERY_STEP, platform=platform, directory=tmp_path)
    seldom = Settings(epochs=3, checkpoint_seconds=1e6)
    said = re.escape(f"the checkpoint of epoch 1, step 3 is kept in {tmp_path / CHECKPOINT}")
    with pytest.raises(NonFiniteLoss, match=f"at step 4; {said}"):
        fit(breaking(1), train, settings=seldom, platform=platform, directory=tmp_path)


def test_weights_that_leave_the_range_in_the_last_step_are_found(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    """The loss was finite to the end, the last update was not: no such product is kept."""

    class Leap(torch.optim.SGD):
        """Sends the weights to inf in one chosen step."""

        steps = 0

        def step(self, closure=None):
            super().step()
            Leap.steps += 1
            if Leap.steps == len(train):
                for group in self.param_groups:
                    group["params"][0].data.fill_(float("inf"))

    settings = Settings(epochs=1, optimizer=lambda p: Leap(p, 0.01), checkpoint_seconds=0.0)
    with pytest.raises(NonFiniteLoss, match="the weights are not finite at step 4") as caught:
        fit(plain(tiny_net()), train, settings=settings, platform=platform, directory=tmp_path)
    assert "the checkpoint of epoch 1, step 4 is kept" in str(caught.value)
