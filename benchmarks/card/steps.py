"""Steps of a student alone, with a live and with a cached teacher; the same by hand."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from card.clock import Block, interleaved
from card.forms import FORMS, arithmetic
from card.pairs import Pair
from stillhouse.cache import Replay, record
from stillhouse.data import Batches
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, Trainer, training
from stillhouse.methods import kd, plain

ENDLESS = 10_000
"""Epochs of a training that is stopped when enough was measured."""


def cached(student: nn.Module, teacher: nn.Module, data: Batches, platform: Platform,
           folder: Path) -> Stage:  # fmt: skip
    """Plain distillation from a teacher cache that is recorded here."""
    cache = record(Role("teacher", teacher), ["logits"], data, folder, {}, platform)
    return kd(student, teacher).replace(Replay("teacher", cache))


@contextmanager
def stages(pair: Pair, data: Batches, platform: Platform) -> Iterator[dict[str, Stage]]:
    """The three, each with networks of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "plain": plain(pair.networks()[0]),
            "live": kd(*pair.networks()),
            "cached": cached(*pair.networks(), data, platform, Path(folder)),
        }


def endless(trainer: Trainer) -> Iterator[int]:
    """Its steps, epoch after epoch."""
    for epoch in range(ENDLESS):
        yield from trainer.steps(epoch)


def by_engine(trainer: Trainer) -> Block:
    """Steps of the engine."""
    stream = endless(trainer)

    def block(steps: int) -> None:
        for _ in range(steps):
            next(stream)

    return block


def loss_of(scores: Tensor, label: Tensor, target: Tensor | None) -> Tensor:
    """Cross-entropy, or that of `kd` with its defaults' temperature of 4."""
    hard = F.cross_entropy(scores.float(), label)
    if target is None:
        return hard
    log_s, log_t = F.log_softmax(scores.float() / 4, 1), F.log_softmax(target.float() / 4, 1)
    return 0.1 * hard + 0.9 * 16 * F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)


def by_hand(pair: Pair, data: Batches, platform: Platform, *, distil: bool) -> Block:
    """The same step without an engine: same batches, layout, optimiser kernel; nobody looks."""
    device, dtype = platform.device, platform.autocast_dtype
    student, teacher = (net.to(device, memory_format=torch.channels_last)
                        for net in pair.networks())  # fmt: skip
    student.train()
    optimizer = torch.optim.SGD(
        student.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=True
    )
    stream = (batch for epoch in range(ENDLESS) for batch in data.epoch(epoch))

    def block(steps: int) -> None:
        for _ in range(steps):
            batch = next(stream)
            image, label, target = batch["batch.image"], batch["batch.label"], None
            with torch.autocast(device.type, dtype, enabled=dtype is not None):
                if distil:
                    with torch.no_grad():
                        target = teacher(image)
                scores = student(image)
            loss_of(scores, label, target).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return block


def contest(pair: Pair, device: torch.device, precision: str, form: str,
            **how: int) -> dict[str, Any]:  # fmt: skip
    """The three steps of one pair in one precision and form; eager ones beside those by hand."""
    with ExitStack() as stack:
        platform = stack.enter_context(arithmetic(precision, device))
        data = pair.data(device)
        opened = {
            name: stack.enter_context(
                training(stage, data, Settings(epochs=ENDLESS, compile=FORMS[form]), platform)
            )
            for name, stage in stack.enter_context(stages(pair, data, platform)).items()
        }
        blocks = {name: by_engine(trainer) for name, trainer in opened.items()}
        if form == "eager":
            blocks["plain, by hand"] = by_hand(pair, data, platform, distil=False)
            blocks["live, by hand"] = by_hand(pair, data, platform, distil=True)
        found = interleaved(blocks, device, **how)
    return {name: {**each.told, "images_per_second": round(1000 * pair.batch / each.told["ms"], 1)}
            for name, each in found.items()}  # fmt: skip
