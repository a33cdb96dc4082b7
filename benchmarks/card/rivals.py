"""Whole epochs beside other loops: the research loop, and torchdistill where it is installed."""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from card.pairs import Pair
from card.steps import ENDLESS, cached
from contenders.research_loop import research_loop
from contenders.torchdistill_loop import torchdistill_loop
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training
from stillhouse.errors import MissingExtra
from stillhouse.methods import kd, plain

RIVALS = {"research loop": research_loop, "torchdistill": torchdistill_loop}
Epoch = Callable[[], int]


def epochs(
    pair: Pair, platform: Platform, *, steps: int, rounds: int, workers: int
) -> dict[str, Any]:
    """Seconds per image over whole epochs, interleaved; the first round warms up.

    The engine runs in the precision of the platform, the others in float32, as they do.
    """
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        data = pair.data(platform.device, steps=steps)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def engine(stage: Stage) -> Epoch:
            made = stack.enter_context(training(stage, data, Settings(epochs=ENDLESS), platform))
            numbers = iter(range(ENDLESS))
            return lambda: pair.batch * sum(1 for _ in made.steps(next(numbers)))

        found = {
            "engine, plain": engine(plain(pair.networks()[0])),
            "engine, live": engine(kd(*pair.networks())),
            "engine, cached": engine(cached(*pair.networks(), data, platform, folder)),
        }
        for name, make in RIVALS.items():
            nets = [net.to(platform.device) for net in pair.networks()]
            try:
                loop = make(data.table, *nets, batch=pair.batch, workers=workers)
            except MissingExtra as missing:
                left_out[name] = str(missing)
                continue
            stack.callback(loop.close)
            found[name] = loop.epoch
        seconds = _seconds(found, platform.device, rounds)
    rates = {name: round(1 / statistics.median(each), 1) for name, each in seconds.items()}
    rounds_told = {name: [round(s, 8) for s in each] for name, each in seconds.items()}
    return {"images_per_second": rates, "seconds_per_image": rounds_told,
            "precision": platform.precision, "left_out": left_out}  # fmt: skip


def _seconds(found: dict[str, Epoch], device: torch.device, rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in found}
    names = list(found)
    for turn in range(-1, rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            shown = found[name]()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn >= 0:
                seconds[name].append((time.perf_counter() - began) / shown)
    return seconds
