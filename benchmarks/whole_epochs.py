"""Images per second over whole epochs, wrn_40_2 -> wrn_16_2: engine, research loop, torchdistill.

    pip install "stillhouse[bench]"
    python benchmarks/whole_epochs.py    # writes benchmarks/results/whole_epochs.json

The contenders (benchmarks/contenders/) train the same modules with the same loss; agree.py there
checks that. Epochs are interleaved; each contender starts its loader workers in its own time. The
engine runs at its defaults: live, and with a cached teacher (cached before, timed apart).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch

from contenders.research_loop import MEAN, STD, research_loop
from contenders.torchdistill_loop import torchdistill_loop
from result_files import keep, median_ratio
from stillhouse.cache import Replay, record
from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import kd, plain
from stillhouse.models import build_model

BATCH = 64
Epoch = Callable[[], int]
"""Trains one epoch; gives the number of images shown."""


def table(rows: int) -> ImageTable:
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (rows, 32, 32, 3), generator=made).to(torch.uint8)
    return ImageTable(images, torch.randint(0, 100, (rows,), generator=made))


def networks() -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    return build_model("wrn_16_2", classes=100), build_model("wrn_40_2", classes=100).eval()


def engine(stack: ExitStack, stage: Stage, data: Batches, platform: Platform) -> Epoch:
    trainer = stack.enter_context(training(stage, data, Settings(epochs=10_000), platform))
    numbers = iter(range(10_000))

    def epoch() -> int:
        return BATCH * sum(1 for _ in trainer.steps(next(numbers)))

    return epoch


def contenders(
    stack: ExitStack, rows: int, platform: Platform
) -> tuple[dict[str, Epoch], dict[str, float]]:
    data = Batches(
        table(rows), Augment(MEAN, STD, crop=4, flip=True), batch_size=BATCH, views=1,
        device=platform.device,
    )  # fmt: skip
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    student, teacher = networks()
    began = time.perf_counter()
    cache = record(Role("teacher", teacher), ["logits"], data, folder, {}, platform)
    cached = rows / (time.perf_counter() - began)
    cached = kd(student, teacher).replace(Replay("teacher", cache))
    found = {
        "engine, plain student": engine(stack, plain(networks()[0]), data, platform),
        "engine, cached teacher": engine(stack, cached, data, platform),
        "engine, live teacher": engine(stack, kd(*networks()), data, platform),
    }
    for name, make in (("research loop", research_loop), ("torchdistill", torchdistill_loop)):
        networks_there = [net.to(platform.device) for net in networks()]
        loop = make(table(rows), *networks_there, batch=BATCH)

        def epoch(loop=loop) -> int:
            shown = loop.epoch()
            loop.close()
            return shown

        found[name] = epoch
    return found, {"caching": round(cached, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1280)
    arguments = parser.parse_args()
    platform = open_platform(device="auto")
    with ExitStack() as stack:
        found, rates = contenders(stack, arguments.rows, platform)
        seconds: dict[str, list[float]] = {name: [] for name in found}
        names = list(found)
        for update in range(-1, arguments.rounds):  # the first round warms up
            for name in names[update % len(names) :] + names[: update % len(names)]:
                began = time.perf_counter()
                shown = found[name]()
                if platform.device.type == "cuda":
                    torch.cuda.synchronize()
                if update >= 0:
                    seconds[name].append((time.perf_counter() - began) / shown)
    medians = {n: round(1 / statistics.median(values), 1) for n, values in seconds.items()}
    ratios = {
        f"{ours} / {theirs}": round(median_ratio(seconds[theirs], seconds[ours]), 3)
        for ours in ("engine, cached teacher", "engine, live teacher")
        for theirs in ("research loop", "torchdistill")
    }
    for name, rate in (medians | rates | ratios).items():
        print(f"{name:<48} {rate:>8}")
    keep(
        "whole_epochs",
        f"wrn_40_2 -> wrn_16_2, {arguments.rows} images of 32x32 an epoch, batch {BATCH}, "
        f"medians over {arguments.rounds} interleaved epochs",
        images_per_second={**medians, **rates},
        ratios=ratios,
        seconds_per_image={n: [round(v, 6) for v in values] for n, values in seconds.items()},
    )


if __name__ == "__main__":
    main()
