"""`compile: graphs`: refused where it cannot be; recorded, a training has the bits of another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import recorded
import torch
from torch import Tensor, nn

from stillhouse.engine import graphs, trainer
from stillhouse.engine.fit import fit
from stillhouse.engine.graphs import MOST, graphs_problem
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import ema_kd, kd, th_kd
from stillhouse.recipes import make_recipe
from stillhouse.runs.run import prepare
from stillhouse.testing.toy import ToyNet, taught, toy_batches, untaught

SETTINGS = Settings(epochs=2, optimizer=sgd(0.1), channels_last=False)


@pytest.fixture
def cpu() -> Platform:
    return open_platform(device="cpu", precision="fp32")


@pytest.fixture
def as_on_a_card(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Graphs can be recorded here; gives how composites were asked to compile."""
    asked: list[dict[str, Any]] = []

    def compiled(self: nn.Module, **options: Any) -> None:
        asked.append(options)
        recorded.overwrite(self)

    monkeypatch.setattr(trainer, "graphs_problem", lambda platform: None)
    monkeypatch.setattr(graphs, "capture", recorded.capture)
    monkeypatch.setattr(nn.Module, "compile", compiled)
    # It would import the whole compiler, to tell it of a step.
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    return asked


def test_without_cuda_it_is_refused_before_anything_is_done(tmp_path: Path, cpu: Platform) -> None:
    said = r"'graphs' are CUDA graphs, and this runs on cpu; write compile: true, false or auto"
    with pytest.raises(WiringError, match=f"settings: compile: {said}"):
        fit(kd(untaught(4), taught(4)), toy_batches(), platform=cpu,
            settings=replace(SETTINGS, compile="graphs"))  # fmt: skip
    recipe = make_recipe({"data": "digits", "student": "mlp-8", "teacher": "mlp-16",
                          "compile": "graphs", "device": "cpu"})  # fmt: skip
    with pytest.raises(RecipeError, match=f"compile: {said}"):
        prepare(recipe, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_one_process_on_cuda_is_not_refused_and_several_are() -> None:
    class Two(Platform):
        world = 2

    card = torch.device("cuda")
    assert graphs_problem(Platform(None, card, "bf16")) is None
    assert "of one process, and these are 2" in str(graphs_problem(Two(None, card, "bf16")))


class RarelyLooking(Platform):
    """As on a card, losses are looked at after many steps."""

    check_every = 50


def live_ema(student: nn.Module, teacher: nn.Module) -> Stage:
    return ema_kd(student)


@pytest.mark.parametrize("make", [kd, th_kd, live_ema])
def test_a_recorded_training_has_the_bits_of_an_eager_one(
    make, as_on_a_card: list[dict[str, Any]]
) -> None:
    """With two micro-batches to a step: gradients and values outlive what a replay overwrites."""
    ends, cpu = [], RarelyLooking(None, torch.device("cpu"), "fp32")
    for compile in (False, "graphs"):
        student = untaught(4)
        settings = replace(SETTINGS, accumulate=2, compile=compile)
        done = fit(make(student, taught(6)), toy_batches(), settings=settings, platform=cpu)
        ends.append((student.state_dict(), [line["terms"] for line in done.history]))
    (eager, said), (recorded_, told) = ends
    assert said == told
    assert all(torch.equal(eager[name], recorded_[name]) for name in eager)
    assert as_on_a_card == [{"fullgraph": True, "mode": "reduce-overhead"}]


class Counting(ToyNet):
    """Runs Python in each forward pass, which a replay does not."""

    calls = 0

    def forward(self, image: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(image)


class Looking(ToyNet):
    """Branches on a number of the device."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) * (1.0 if image.sum() > 0 else 2.0)


@pytest.mark.usefixtures("as_on_a_card")
def test_a_live_teacher_runs_once_and_is_replayed_for_each_shape(cpu: Platform) -> None:
    teacher, settings = Counting(4), replace(SETTINGS, compile="graphs")
    with training(kd(untaught(4), teacher), toy_batches(), settings, cpu) as made:
        before = teacher.calls
        list(made.steps(0))
        assert teacher.calls - before == 1
        (stepper,) = made.steppers
        sample = toy_batches().sample()
        for rows in range(9, 8 + MOST):
            stepper.graphs.observe({k: v[:1].repeat_interleave(rows, 0) for k, v in sample.items()})
        with pytest.raises(
            WiringError, match=f"each shape of a batch, and this is number {MOST + 1}"
        ):
            stepper.graphs.observe({k: v[:1] for k, v in sample.items()})


@pytest.mark.usefixtures("as_on_a_card")
def test_a_teacher_that_asks_for_a_number_is_refused(cpu: Platform) -> None:
    settings = replace(SETTINGS, compile="graphs")
    said = r"cannot be recorded as a CUDA graph \(operation not permitted .* capturing\); write"
    with (
        training(kd(untaught(4), Looking(4)), toy_batches(), settings, cpu) as made,
        pytest.raises(WiringError, match=said),
    ):
        next(made.steps(0))


@pytest.mark.usefixtures("as_on_a_card")
def test_a_graph_that_torch_leaves_out_is_no_graph(
    cpu: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = iter(range(10))
    monkeypatch.setattr(graphs, "_skipped", lambda: next(skipped))
    settings = replace(SETTINGS, compile="graphs")
    with (
        training(kd(untaught(4), taught(4)), toy_batches(), settings, cpu) as made,
        pytest.raises(WiringError, match="compile: torch compiles this step and records no CUDA"),
    ):
        next(made.steps(0))
