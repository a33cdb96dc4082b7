"""Cost of the engine: its step against the same step written by hand, and a research-style loop.

    python benchmarks/step.py            # writes benchmarks/results/step.json

Blocks of steps of the contenders are interleaved, so that a busy machine slows all of them; the
medians over blocks are compared. One training at a time.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.engine.platform import open_platform
from stillhouse.engine.trainer import Settings, Trainer, opened
from stillhouse.methods import kd, plain
from stillhouse.models import build_model
from stillhouse.runs.environment import environment

MEAN, STD = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
BATCH = 64
ROWS = 6400
RESULTS = Path(__file__).parent / "results"

Block = Callable[[int], None]


def pair() -> tuple[nn.Module, nn.Module]:
    """Student resnet20, teacher resnet56, 100 classes."""
    torch.manual_seed(0)
    return build_model("resnet20", classes=100), build_model("resnet56", classes=100).eval()


def sgd(model: nn.Module, *, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=fused or None
    )


def loss_of(scores: Tensor, label: Tensor, target: Tensor | None) -> Tensor:
    hard = F.cross_entropy(scores, label)
    if target is None:
        return hard
    log_s, log_t = F.log_softmax(scores / 4, 1), F.log_softmax(target / 4, 1)
    soft = F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)
    return 0.1 * hard + 0.9 * 16 * soft


def by_hand(batches: Batches, *, distil: bool) -> Block:
    """The same step without an engine: same batches, layout, optimiser kernel and schedule."""
    student, teacher = pair()
    student, teacher = (net.to(memory_format=torch.channels_last) for net in (student, teacher))
    optimizer = sgd(student, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10**6)
    stream = endless(batches)
    student.train()

    def block(steps: int) -> None:
        for _ in range(steps):
            batch = next(stream)
            target = None
            if distil:
                with torch.no_grad():
                    target = teacher(batch["batch.image"])
            loss = loss_of(student(batch["batch.image"]), batch["batch.label"], target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            if not torch.isfinite(loss):
                raise SystemExit("the loss is not finite")

    return block


def endless(batches: Batches) -> Iterator[dict[str, Tensor]]:
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1


def by_engine(trainer: Trainer) -> Block:
    def steps() -> Iterator[int]:
        epoch = 0
        while True:
            yield from trainer.steps(epoch)
            epoch += 1

    stream = steps()

    def block(count: int) -> None:
        for _ in range(count):
            next(stream)

    return block


class PillowImages(Dataset[tuple[Tensor, int]]):
    """Per-sample PIL transforms, as scripts of the field do them."""

    def __init__(self, table: ImageTable) -> None:
        self.images = [Image.fromarray(image.numpy()) for image in table.images]
        self.labels = table.labels.tolist()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image = ImageOps.expand(self.images[row], 4)
        left, top = random.randint(0, 8), random.randint(0, 8)
        image = image.crop((left, top, left + 32, top + 32))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float() / 255
        mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
        return (pixels - mean) / std, self.labels[row]


def research_loop(table: ImageTable) -> Block:
    """fp32, NCHW, live teacher, two loader workers, ``.item()`` in each step."""
    student, teacher = pair()
    optimizer = sgd(student, fused=False)
    loader = DataLoader(
        PillowImages(table), BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )

    def stream() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    batches = stream()
    student.train()

    def block(steps: int) -> None:
        for _ in range(steps):
            image, label = next(batches)
            with torch.no_grad():
                target = teacher(image)
            loss = loss_of(student(image), label, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return block


def measure(blocks: dict[str, Block], rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds per step of each contender in each round, in an order that turns."""
    for block in blocks.values():
        block(3)
    seconds: dict[str, list[float]] = {name: [] for name in blocks}
    names = list(blocks)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            blocks[name](steps)
            seconds[name].append((time.perf_counter() - start) / steps)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (ROWS, 32, 32, 3), generator=made).to(torch.uint8)
    table = ImageTable(images, torch.randint(0, 100, (ROWS,), generator=made))
    batches = Batches(table, Augment(MEAN, STD, crop=4, flip=True), batch_size=BATCH)
    platform = open_platform(device="cpu", precision="fp32")
    settings = Settings(epochs=10_000)
    student, teacher = pair()
    alone, _ = pair()
    with (
        opened(plain(alone), batches, settings, platform) as control,
        opened(kd(student, teacher), batches, settings, platform) as distilling,
    ):
        seconds = measure(
            {
                "plain, engine": by_engine(control),
                "plain, by hand": by_hand(batches, distil=False),
                "kd, engine": by_engine(distilling),
                "kd, by hand": by_hand(batches, distil=True),
                "kd, research loop": research_loop(table),
            },
            arguments.rounds,
            arguments.steps,
        )
    report(seconds, arguments.rounds, arguments.steps, environment(platform))


def report(
    seconds: dict[str, list[float]], rounds: int, steps: int, where: dict[str, object]
) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    pairs = {
        name: statistics.median(
            a / b
            for a, b in zip(seconds[f"{name}, engine"], seconds[f"{name}, by hand"], strict=True)
        )
        for name in ("plain", "kd")
    }
    result = {
        "command": f"python benchmarks/step.py --rounds {rounds} --steps {steps}",
        "what": f"resnet20 (teacher resnet56), batch {BATCH}, 32x32, median over {rounds} rounds",
        "images_per_second": {name: round(BATCH / value, 1) for name, value in medians.items()},
        "overhead": {name: round(ratio - 1, 4) for name, ratio in pairs.items()},
        "speedup_over_research_loop": round(
            medians["kd, research loop"] / medians["kd, engine"], 3
        ),
        "seconds_per_step": {
            name: [round(value, 5) for value in values] for name, values in seconds.items()
        },
        "environment": where,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "step.json").write_text(json.dumps(result, indent=1) + "\n")
    for name, rate in result["images_per_second"].items():
        print(f"{name:<20} {rate:>8.1f} images/s")
    print(f"overhead of the engine: plain {pairs['plain'] - 1:+.2%}, kd {pairs['kd'] - 1:+.2%}")


if __name__ == "__main__":
    main()
