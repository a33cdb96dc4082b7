"""Cost of a step: the engine against a step by hand, and a cached against a live teacher.

    python benchmarks/step.py            # writes benchmarks/results/step.json

Blocks of steps of the contenders are interleaved, so that a busy machine slows all of them; medians
over blocks, and medians of the ratios within a round. One training at a time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from result_files import keep, median_ratio
from stillhouse.cache import Replay, record
from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.engine.trainer import Settings, Trainer, training
from stillhouse.methods import kd, plain
from stillhouse.models import build_model

MEAN, STD = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
BATCH = 64
ROWS = 1280
PAIRS = {"resnet20": "resnet56", "wrn_16_2": "wrn_40_2"}
"""Student: teacher."""

Block = Callable[[int], None]


def batches() -> Batches:
    """Random images of 100 classes, cropped and flipped; one view, so that caching is short."""
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (ROWS, 32, 32, 3), generator=made).to(torch.uint8)
    table = ImageTable(images, torch.randint(0, 100, (ROWS,), generator=made))
    return Batches(table, Augment(MEAN, STD, crop=4, flip=True), batch_size=BATCH, views=1)


def networks(student: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return build_model(student, classes=100), build_model(PAIRS[student], classes=100).eval()


def loss_of(scores: Tensor, label: Tensor, target: Tensor | None) -> Tensor:
    hard = F.cross_entropy(scores, label)
    if target is None:
        return hard
    log_s, log_t = F.log_softmax(scores / 4, 1), F.log_softmax(target / 4, 1)
    soft = F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)
    return 0.1 * hard + 0.9 * 16 * soft


def by_hand(student_name: str, data: Batches, *, distil: bool) -> Block:
    """The same step without an engine: same batches, layout, optimiser kernel and schedule."""
    layout = torch.channels_last
    student, teacher = (net.to(memory_format=layout) for net in networks(student_name))
    optimizer = torch.optim.SGD(
        student.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10**6)
    stream = endless(data)
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


def teacher_alone(student_name: str, data: Batches) -> Block:
    """The forward pass of the teacher on the same batches."""
    _, teacher = networks(student_name)
    teacher = teacher.to(memory_format=torch.channels_last)
    stream = endless(data)

    def block(steps: int) -> None:
        for _ in range(steps):
            with torch.no_grad():
                teacher(next(stream)["batch.image"])

    return block


def endless(data: Batches) -> Iterator[dict[str, Tensor]]:
    epoch = 0
    while True:
        yield from data.epoch(epoch)
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


def own_loop(student_name: str, data: Batches) -> Block:
    """The same step in a plain loop over the objective of the method."""
    student, teacher = (net.to(memory_format=torch.channels_last) for net in networks(student_name))
    stream, first = endless(data), data.sample()
    objective = kd(student, teacher).open(first["batch.image"], first["batch.label"])
    optimizer = torch.optim.SGD(
        objective.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10**6)

    def block(steps: int) -> None:
        for _ in range(steps):
            batch = next(stream)
            objective(batch["batch.image"], batch["batch.label"]).loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            objective.after_step()

    return block


def measure(blocks: dict[str, Block], rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds per step of each contender in each round, in an order that updates."""
    for block in blocks.values():
        block(3)
    seconds: dict[str, list[float]] = {name: [] for name in blocks}
    names = list(blocks)
    for update in range(rounds):
        for name in names[update % len(names) :] + names[: update % len(names)]:
            blocks[name](1)  # what the contender before left in the caches is not its cost
            start = time.perf_counter()
            blocks[name](steps)
            seconds[name].append((time.perf_counter() - start) / steps)
    return seconds


def contest(
    student_name: str, platform: Platform, rounds: int, steps: int
) -> dict[str, list[float]]:
    data, settings = batches(), Settings(epochs=10_000)
    student, teacher = networks(student_name)
    again, alone = networks(student_name)[0], networks(student_name)[0]
    with tempfile.TemporaryDirectory() as folder:
        cache = record(
            Role("teacher", teacher), ["logits"], data, Path(folder), {}, platform
        )  # fmt: skip
        cached = kd(again, teacher).replace(Replay("teacher", cache))
        with (
            training(plain(alone), data, settings, platform) as control,
            training(kd(student, teacher), data, settings, platform) as live,
            training(cached, data, settings, platform) as replayed,
        ):
            blocks = {
                "plain, engine": by_engine(control),
                "plain, by hand": by_hand(student_name, data, distil=False),
                "kd live, engine": by_engine(live),
                "kd live, by hand": by_hand(student_name, data, distil=True),
                "kd live, own loop": own_loop(student_name, data),
                "kd cached, engine": by_engine(replayed),
                "teacher forward": teacher_alone(student_name, data),
            }
            return measure(blocks, rounds, steps)


def ratios(seconds: dict[str, list[float]]) -> dict[str, float]:
    """The goals, as medians of ratios within rounds."""
    both = [
        a + b for a, b in zip(seconds["plain, engine"], seconds["teacher forward"], strict=True)
    ]
    return {
        "cached step / plain step": median_ratio(
            seconds["kd cached, engine"], seconds["plain, engine"]
        ),
        "live step / (plain step + teacher forward)": median_ratio(
            seconds["kd live, engine"], both
        ),
        "engine / by hand, plain": median_ratio(
            seconds["plain, engine"], seconds["plain, by hand"]
        ),
        "engine / by hand, kd live": median_ratio(
            seconds["kd live, engine"], seconds["kd live, by hand"]
        ),
        "own loop / by hand, kd live": median_ratio(
            seconds["kd live, own loop"], seconds["kd live, by hand"]
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=5)
    arguments = parser.parse_args()
    platform = open_platform(device="auto")
    results = {}
    for student, teacher in PAIRS.items():
        seconds = contest(student, platform, arguments.rounds, arguments.steps)
        medians = {name: sorted(values)[len(values) // 2] for name, values in seconds.items()}
        found = {name: round(value, 4) for name, value in ratios(seconds).items()}
        results[f"{teacher} -> {student}"] = {
            "images_per_second": {name: round(BATCH / m, 1) for name, m in medians.items()},
            "ratios": found,
            "seconds_per_step": {
                name: [round(value, 5) for value in values] for name, values in seconds.items()
            },
        }
        print(f"{teacher} -> {student}")
        for name, median in medians.items():
            print(f"  {name:<20} {BATCH / median:>8.1f} images/s")
        for name, ratio in found.items():
            print(f"  {name:<44} {ratio:.3f}")
    keep("step", f"batch {BATCH}, 32x32, medians over {arguments.rounds} rounds", pairs=results)


if __name__ == "__main__":
    main()
