"""Impressions per second: the batch-100 loop of the released Zero-Shot KD code, and ours.

    python benchmarks/synthesis.py          # writes benchmarks/results/synthesis.json

One LeNet-5 of MNIST shapes with random weights times 3 (logits of a trained network), the same
targets, the same first pixels, the same steps. Rounds alternate between the contenders; ratios are
medians over rounds. `leaving` lets an impression go once its softmax is within 0.01 nats of its
target, and says how many steps an impression then takes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from result_files import keep, median_ratio
from stillhouse.engine.platform import open_platform
from stillhouse.models import build_model, load_weights
from stillhouse.synthesis import make_maker, synthesize
from stillhouse.synthesis.inputs import uniform_noise
from stillhouse.synthesis.teacher import frozen_teacher

SHAPE = (1, 32, 32)
TAU, LR, BATCH, TOLERANCE = 20.0, 1.0, 100, 0.01


def make_teacher(weights: Path | None) -> nn.Module:
    torch.manual_seed(0)
    teacher = build_model("lenet5", classes=10, channels=1)
    if weights is not None:
        load_weights(teacher, weights)
        return teacher
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(3.0)
    return teacher


def targets_of(teacher: nn.Module, count: int) -> Tensor:
    with frozen_teacher(teacher, SHAPE, open_platform(device="cpu")) as subject:
        drawn = make_maker("zero_shot").targets(subject, count, 0)
        assert drawn is not None
        return drawn.probabilities


def released_loop(teacher: nn.Module, count: int, steps: int) -> dict[str, float]:
    """Batch after batch of 100, plain Adam, the teacher frozen (the released code is kinder to
    nobody: a teacher whose weights collect gradients would be slower still).
    """
    teacher.eval().requires_grad_(False)
    targets = targets_of(teacher, count)
    for rows in torch.arange(count).split(BATCH):
        x = uniform_noise(0, rows, SHAPE).requires_grad_()
        adam = torch.optim.Adam([x], lr=LR)
        for _ in range(steps):
            adam.zero_grad()
            logp = F.log_softmax(teacher(x) / TAU, 1)
            (-(targets[rows] * logp).sum(1).mean()).backward()
            adam.step()
    return {"steps_mean": float(steps)}


def ours(teacher: nn.Module, count: int, steps: int, **more: Any) -> dict[str, float]:
    method = {"name": "zero_shot", "steps": steps, "lr": LR, "temperature": TAU, **more}
    precision = method.pop("precision", "fp32")
    with TemporaryDirectory() as folder:
        made = synthesize(teacher, method=method, count=count, image_shape=SHAPE, out=folder,
                          device="cpu", precision=precision)  # fmt: skip
        return {"steps_mean": made.balance["steps_mean"], "gap_median": made.balance["gap"]["0.5"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--teacher", type=Path, help="weights of a trained LeNet-5")
    asked = parser.parse_args()
    teacher = make_teacher(asked.teacher)
    contenders: dict[str, Callable[[], dict[str, float]]] = {
        "released loop, batch 100": lambda: released_loop(teacher, asked.count, asked.steps),
        "ours, exact": lambda: ours(teacher, asked.count, asked.steps),
        "ours, leaving": lambda: ours(teacher, asked.count, asked.steps, tolerance=TOLERANCE),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    about: dict[str, dict[str, float]] = {}
    for _ in range(asked.rounds):
        for name, contend in contenders.items():
            began = time.perf_counter()
            about[name] = contend()
            rates[name].append(round(asked.count / (time.perf_counter() - began), 2))
    first = next(iter(contenders))
    ratios = {name: round(median_ratio(rates[name], rates[first]), 2) for name in contenders}
    for name in contenders:
        print(f"{name:<28} {statistics.median(rates[name]):>8.2f} impressions/s  x{ratios[name]}")
    keep(
        "synthesis",
        f"{asked.count} impressions of LeNet-5, {asked.steps} steps, {asked.rounds} rounds, files "
        f"and labels included; {torch.get_num_threads()} threads",
        impressions_per_second={name: statistics.median(values) for name, values in rates.items()},
        ratios=ratios,
        runs=rates,
        about=about,
        teacher="random weights times 3" if asked.teacher is None else "trained",
    )


if __name__ == "__main__":
    main()
