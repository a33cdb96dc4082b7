"""What must hold on a card as on a processor: bits, resuming, the scaler, memory, no waiting."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from card.forms import FORMS, arithmetic
from card.pairs import Pair
from card.steps import by_engine, cached, stages
from stillhouse.data import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.objective import Weights
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import kd

STEPS = 12
HUGE = 2.0**60
"""A scale at which every fp16 gradient overflows."""


@contextmanager
def deterministic() -> Iterator[None]:
    """Kernels that repeat their bits, where torch has such ones."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _trained(stage: Stage, data: Batches, settings: Settings, platform: Platform) -> Weights:
    with training(stage, data, settings, platform) as trainer:
        by_engine(trainer)(STEPS)
        return trainer.objective.weights()


def apart(mine: Weights, theirs: Weights) -> dict[str, Any]:
    """Whether two trainings ended with the same bits, and the largest difference of a weight."""
    pairs = [(value, theirs[node][name]) for node, of in mine.items() for name, value in of.items()]
    largest = max(float((a.double() - b.double()).abs().max()) for a, b in pairs if a.numel())
    return {"same_bits": all(torch.equal(a, b) for a, b in pairs), "largest_difference": largest}


def cached_is_live(pair: Pair, device: torch.device) -> dict[str, Any]:
    """A float32 cache gives the bits of a live teacher; a second live training tells the rest."""
    data, settings = pair.data(device), Settings(epochs=STEPS)
    with deterministic(), arithmetic("fp32", device) as platform:
        live = _trained(kd(*pair.networks()), data, settings, platform)
        again = _trained(kd(*pair.networks()), data, settings, platform)
        with tempfile.TemporaryDirectory() as folder:
            stage = cached(*pair.networks(), data, platform, Path(folder))
            looked_up = _trained(stage, data, settings, platform)
    return {"cached": apart(looked_up, live), "repeated": apart(again, live)}


def resumed(pair: Pair, device: torch.device) -> dict[str, Any]:
    """A training that ended after one epoch and went on is the one that never stopped."""
    data = pair.data(device, steps=4)
    with (
        deterministic(),
        arithmetic("fp32", device) as platform,
        tempfile.TemporaryDirectory() as folder,
    ):
        whole = fit(kd(*pair.networks()), data, settings=Settings(epochs=2), platform=platform)
        parts = [
            fit(kd(*pair.networks()), data, platform=platform, directory=folder, identity="resumed",
                settings=Settings(epochs=2, until_epoch=until))
            for until in (1, None)
        ]  # fmt: skip
    return apart(parts[-1].last, whole.last)


def scaler(pair: Pair, device: torch.device) -> dict[str, Any]:
    """fp16 learns as fp32 does, and a step that overflows moves nothing and halves the scale."""
    data, settings, losses = pair.data(device), Settings(epochs=STEPS), {}
    for precision in ("fp32", "fp16"):
        platform = Platform(None, device, precision)
        with training(kd(*pair.networks()), data, settings, platform) as trainer:
            step, (stepper,) = by_engine(trainer), trainer.steppers
            step(STEPS // 2)
            trainer.look()
            losses[precision] = sum(stepper.means().values())
            if precision == "fp16":
                before, scale = trainer.objective.weights(), stepper.scaler.get_scale()
                stepper.scaler.load_state_dict({**stepper.scaler.state_dict(), "scale": HUGE})
                step(1)
                moved = apart(_learnt(trainer.objective.weights()), _learnt(before))
                halved = stepper.scaler.get_scale() == HUGE / 2
    gap = abs(losses["fp16"] / losses["fp32"] - 1)
    return {"relative_gap_to_fp32": gap, "scale": scale, "overflow_moves_nothing":
            moved["same_bits"], "overflow_halves_the_scale": halved}  # fmt: skip


def _learnt(weights: Weights) -> Weights:
    """Without statistics of batch norms, which each forward pass moves."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return {node: {name: value for name, value in of.items() if not name.endswith(statistics)}
            for node, of in weights.items()}  # fmt: skip


def form_agrees(pair: Pair, device: torch.device, form: str) -> dict[str, Any]:
    """How far a compiled or recorded training ends from the eager one, in float32."""
    data = pair.data(device)
    with deterministic(), arithmetic("fp32", device) as platform:
        ends = [
            _trained(kd(*pair.networks()), data, Settings(epochs=STEPS, compile=FORMS[each]),
                     platform)
            for each in ("eager", form)
        ]  # fmt: skip
    return apart(ends[1], ends[0])


def memory(pair: Pair, device: torch.device) -> dict[str, Any]:
    """Peak MiB of each step on the card; None where there is no card to ask."""
    found: dict[str, Any] = {}
    with arithmetic("bf16", device) as platform:
        data = pair.data(device)
        with stages(pair, data, platform) as made:
            for name, stage in made.items():
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats(device)
                _trained(stage, data, Settings(epochs=STEPS), platform)
                peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
                found[name] = None if peak is None else round(peak / 2**20, 1)
    return found


def waits(pair: Pair, device: torch.device) -> dict[str, Any]:
    """How often steps between two looks wait for the card, as torch itself sees it."""
    found: dict[str, Any] = {}
    with arithmetic("bf16", device) as platform:
        data = pair.data(device)
        with stages(pair, data, platform) as made:
            for name, stage in made.items():
                with training(stage, data, Settings(epochs=STEPS), platform) as trainer:
                    step = by_engine(trainer)
                    step(2)  # the first one looks at the losses
                    found[name] = _heard(step, device)
    return found


def _heard(step: Any, device: torch.device) -> int | None:
    if device.type != "cuda":
        step(3)
        return None
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step(3)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(each.message) for each in heard)
