"""Seconds of contenders, interleaved, by the events of a card; and the time that is left."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

Block = Callable[[int], object]
"""Makes so many steps."""

FEWEST, BLOCK_SECONDS = 2, 0.3


@dataclass
class Seconds:
    """Of a step in each round: until the card was done, and until the host had asked for it.

    Where both are equal, the card waits for launches.
    """

    device: list[float] = field(default_factory=list)
    host: list[float] = field(default_factory=list)

    @property
    def told(self) -> dict[str, Any]:
        """The medians in ms, and every round, so that their spread can be seen."""
        return {
            "ms": round(1000 * statistics.median(self.device), 4),
            "host_ms": round(1000 * statistics.median(self.host), 4),
            "rounds_ms": [round(1000 * each, 4) for each in self.device],
        }


def once(block: Block, steps: int, device: torch.device) -> tuple[float, float]:
    """Seconds of a step by the card, and by the host that launches it."""
    if device.type != "cuda":
        began = time.perf_counter()
        block(steps)
        seconds = (time.perf_counter() - began) / steps
        return seconds, seconds
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    first.record()
    began = time.perf_counter()
    block(steps)
    host = time.perf_counter() - began
    last.record()
    torch.cuda.synchronize(device)
    return first.elapsed_time(last) / 1000 / steps, host / steps


def interleaved(
    blocks: Mapping[str, Block], device: torch.device, *, rounds: int, steps: int, warm: int
) -> dict[str, Seconds]:
    """Blocks of steps in turns, each round in another order, after so many steps to warm up.

    Of slow steps a block has fewer than ``steps``, so that it takes about `BLOCK_SECONDS`.
    """
    count = {}
    for name, block in blocks.items():
        block(warm)
        each, _ = once(block, FEWEST, device)
        count[name] = max(FEWEST, min(steps, int(BLOCK_SECONDS / each))) if steps > 1 else 1
    found, names = {name: Seconds() for name in blocks}, list(blocks)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            blocks[name](1)  # what the one before left in the caches is not its cost
            device_seconds, host_seconds = once(blocks[name], count[name], device)
            found[name].device.append(device_seconds)
            found[name].host.append(host_seconds)
    return found


class Budget:
    """The time that is left; what it does not suffice for is left out, and said."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._longest: dict[str, float] = {}
        self.left_out: dict[str, str] = {}

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()

    def spend(self, kind: str, name: str, work: Callable[[], Any]) -> Any:
        """Do it, if as long as its kind took at most is left; None where it was not done.

        What cannot be done here (a package is missing, a form is refused, the memory is short) is
        left out, too, with what was said.
        """
        if self.left < self._longest.get(kind, 0.0):
            self.left_out[name] = f"{self.left:.0f} s were left"
            return None
        began = time.monotonic()
        try:
            return work()
        except Exception as error:  # one case that fails must not cost the others
            said = str(error).strip().splitlines() or [""]
            self.left_out[name] = f"{type(error).__name__}: {said[0]}"
            return None
        finally:
            spent = time.monotonic() - began
            self._longest[kind] = max(self._longest.get(kind, 0.0), spent)
