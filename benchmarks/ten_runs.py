"""Ten students of one teacher against ten students alone: wall time, the teacher cache included.

    python benchmarks/ten_runs.py        # writes benchmarks/results/ten_runs.json

resnet56 -> resnet20 on CIFAR-shaped images: kd and th_kd, five seeds each, share one teacher cache
of half as many views as there are epochs. Each student is timed next to one trained alone.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from result_files import keep
from step import MEAN, STD, networks
from stillhouse.cache import Need, Replay, needed, record
from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import open_platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import kd, plain, th_kd


def student() -> nn.Module:
    return networks("resnet20")[0]


def seconds_of(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1280)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    platform, settings = open_platform(device="auto"), Settings(epochs=arguments.epochs)
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (arguments.rows, 32, 32, 3), generator=made).to(torch.uint8)
    data = Batches(
        ImageTable(images, torch.randint(0, 100, (arguments.rows,), generator=made)),
        Augment(MEAN, STD, crop=4, flip=True), views=arguments.views, device=platform.device,
    )  # fmt: skip
    teacher = networks("resnet20")[1]

    def need(method: Callable[..., Stage]) -> Need:
        with training(method(student(), teacher), data, settings, platform) as trainer:
            fresh = method(student(), teacher)  # its bridges are still to be sized
            return needed(fresh, "teacher", trainer.objective.wiring.seen)

    with tempfile.TemporaryDirectory() as folder:

        def cached(shapes: Need):
            return record(
                Role("teacher", teacher), list(shapes.parts), data, Path(folder), {}, platform,
                shapes=shapes.sizing,
            )  # fmt: skip

        times: dict[str, list[float]] = {"alone": [], "recording": [], "distilled": []}
        for method in (kd, th_kd):
            shapes = need(method)
            for _ in range(arguments.seeds):
                times["caching"].append(seconds_of(lambda shapes=shapes: cached(shapes)))
                replay = Replay("teacher", cached(shapes))
                stage = method(student(), teacher).replace(replay)
                alone = plain(student())
                times["alone"].append(
                    seconds_of(lambda s=alone: fit(s, data, settings=settings, platform=platform))
                )
                times["distilled"].append(
                    seconds_of(lambda s=stage: fit(s, data, settings=settings, platform=platform))
                )
                print({name: round(values[-1], 2) for name, values in times.items()}, flush=True)
    spent = sum(times["caching"]) + sum(times["distilled"])
    ratio = spent / sum(times["alone"])
    print(f"{len(times['alone'])} students of one teacher / as many alone: {ratio:.3f}")
    keep(
        "ten_runs",
        f"resnet56 -> resnet20, {arguments.rows} images, {arguments.epochs} epochs, "
        f"{arguments.views} views; kd and th_kd, {arguments.seeds} seeds each",
        ratio=round(ratio, 4),
        seconds={name: [round(v, 3) for v in values] for name, values in times.items()},
    )


if __name__ == "__main__":
    main()
