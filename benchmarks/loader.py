"""Loader processes and compute threads on one machine: images per second of each division.

    python benchmarks/loader.py          # writes benchmarks/results/loader.json

A student alone whose images go through PIL one by one (pad-crop, flip), under the engine; a fresh
process for each division, as the pool of threads is that of a process.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch

from contenders.research_loop import PillowImages
from result_files import keep
from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.data.tables import SampleTable
from stillhouse.engine.platform import open_platform
from stillhouse.engine.threads import cores
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import plain
from stillhouse.models import build_model

STUDENTS = ("resnet20", "convnet-8-16-32-128")
ROWS, STEPS = 6400, 25


def train(student: str, workers: int, threads: int) -> float:
    """Images per second in this process."""
    images = torch.randint(0, 256, (ROWS, 32, 32, 3)).to(torch.uint8)
    rows = PillowImages(ImageTable(images, torch.arange(ROWS) % 100))
    table = SampleTable(rows, torch.arange(ROWS) % 100, torch.arange(ROWS))
    data = Batches(table, Augment((0.5,) * 3, (0.25,) * 3), workers=workers)
    platform = open_platform(device="cpu", precision="fp32")
    model = build_model(student, classes=100)
    with training(plain(model), data, Settings(epochs=100), platform) as trainer:
        torch.set_num_threads(threads)
        steps = trainer.steps(0)
        for _ in range(3):
            next(steps)
        began = time.perf_counter()
        for _ in range(STEPS):
            next(steps)
        return STEPS * data.batch_size / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        student, workers, threads = arguments.case
        print(json.dumps(train(student, int(workers), int(threads))))
        return
    all_cores = cores()
    divisions = [(0, all_cores), (1, all_cores), (1, all_cores - 1), (2, all_cores), (2, 1)]
    rates: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for student in STUDENTS:
            for workers, threads in divisions:
                case = [student, str(workers), str(max(threads, 1))]
                done = subprocess.run(
                    [sys.executable, __file__, "--case", *case],
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                name = f"{student}, {workers} loaders, {threads} threads"
                rates.setdefault(name, []).append(round(json.loads(done.stdout), 1))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in medians.items():
        print(f"{name:<44} {rate:>8.1f} images/s")
    keep(
        "loader",
        f"PIL transforms of single images, {all_cores} cores, medians of {arguments.rounds} runs",
        images_per_second=medians,
        runs=rates,
    )


if __name__ == "__main__":
    main()
