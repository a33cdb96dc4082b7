"""The data path alone: batches that are made, augmented and looked up, and nothing learns."""

import tempfile
from pathlib import Path
from typing import Any

import torch

from card.clock import Block, interleaved
from card.pairs import Pair
from card.steps import ENDLESS
from stillhouse.cache import Replay, record
from stillhouse.data import Batches
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform


def path(pair: Pair, device: torch.device, **how: int) -> dict[str, Any]:
    """Images per second of batches on the device, with and without a cached teacher's logits."""
    data, platform = pair.data(device), Platform(None, device, "fp32")
    with tempfile.TemporaryDirectory() as folder:
        teacher = Role("teacher", pair.networks()[1].to(device))
        cache = record(teacher, ["logits"], data, Path(folder), {}, platform)
        replay = Replay("teacher", cache)
        blocks = {"batches": _block(data, None), "batches, looked up": _block(data, replay)}
        found = interleaved(blocks, device, **how)
    return {name: {**each.told, "images_per_second": round(1000 * pair.batch / each.told["ms"], 1)}
            for name, each in found.items()}  # fmt: skip


def _block(data: Batches, replay: Replay | None) -> Block:
    stream = (batch for epoch in range(ENDLESS) for batch in data.epoch(epoch))

    def block(steps: int) -> None:
        for _ in range(steps):
            batch = next(stream)
            if replay is not None:
                replay.run(batch)

    return block
