"""Peak memory of a training alone, with a cached teacher and with a live one.

    python benchmarks/memory.py          # writes benchmarks/results/memory.json

wrn_40_2 -> wrn_16_2, batch 64. Each case is a fresh process that loads 10,000 images, builds its
networks and trains twenty steps; ru_maxrss of the whole process is compared. Linux only.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from result_files import keep, median_ratio
from stillhouse.cache import Replay, open_cache, record
from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import open_platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import kd, plain
from stillhouse.models import build_model

ROWS, VIEWS, STEPS = 10_000, 2, 20
CASES = ("alone", "cached", "live")
IDENTITY = {"what": "memory benchmark"}


def data() -> Batches:
    images = torch.randint(0, 256, (ROWS, 32, 32, 3)).to(torch.uint8)
    table = ImageTable(images, torch.randint(0, 100, (ROWS,)))
    return Batches(table, Augment((0.5,) * 3, (0.25,) * 3, crop=4, flip=True), views=VIEWS)


def stage(case: str, folder: Path) -> Stage:
    student = build_model("wrn_16_2", classes=100)
    if case == "alone":
        return plain(student)
    teacher = build_model("wrn_40_2", classes=100)
    if case == "live":
        return kd(student, teacher)
    cache = open_cache(folder, IDENTITY, ["logits"], VIEWS)
    return kd(student, teacher).replace(Replay("teacher", cache))


def train(case: str, folder: Path) -> None:
    """One case in this process; prints what it took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    platform = open_platform(device="cpu")
    with training(stage(case, folder), data(), Settings(epochs=1), platform) as trainer:
        for step in trainer.steps(0):
            if step == STEPS:
                break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"imports": before, "peak": peak}))


def in_a_process(case: str, folder: Path) -> dict[str, int]:
    command = [sys.executable, __file__, "--case", case, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        train(arguments.case, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder, platform = Path(name), open_platform(device="cpu")
        teacher = Role("teacher", build_model("wrn_40_2", classes=100))
        record(teacher, ["logits"], data(), folder, IDENTITY, platform)
        found: dict[str, list[dict[str, int]]] = {case: [] for case in CASES}
        for _ in range(arguments.rounds):
            for case in CASES:
                found[case].append(in_a_process(case, folder))
    peaks = {case: [float(one["peak"]) for one in runs] for case, runs in found.items()}
    ratios = {
        f"{case} / alone": round(median_ratio(peaks[case], peaks["alone"]), 4)
        for case in ("cached", "live")
    }
    megabytes = {case: round(statistics.median(p) / 1e6, 1) for case, p in peaks.items()}
    print(megabytes, ratios)
    keep(
        "memory",
        f"wrn_40_2 -> wrn_16_2, batch 64, {ROWS} images, highest resident set of a process",
        peak_megabytes=megabytes,
        ratios=ratios,
        runs=found,
    )


if __name__ == "__main__":
    main()
