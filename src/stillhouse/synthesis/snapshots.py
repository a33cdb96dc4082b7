"""Snapshots of a module that is being trained, spread over the second half of its training."""

from pathlib import Path

from torch import nn

from stillhouse.engine.fit import Silent
from stillhouse.records.files import save_tensors


def snapshot_steps(steps: int, count: int) -> list[int]:
    """After which steps: evenly over the second half, the last one after all.

    >>> snapshot_steps(100, 1), snapshot_steps(100, 4)
    ([100], [63, 75, 88, 100])
    """
    return [-(-steps * (count + number) // (2 * count)) for number in range(1, count + 1)]


class Snapshots(Silent):
    """An observer of a fit that writes its snapshots, all but the last: that is the fit's result.

    It hears of a step before a checkpoint can hold it. So a fit that is stopped, and goes on from
    its checkpoint, finds every earlier snapshot written, or writes it again with the same bits.

    Args:
        module: what is trained.
        folder: where they go, as ``generator-1.safetensors``, ...
        count: how many, with the last.
    """

    def __init__(self, module: nn.Module, folder: Path, count: int) -> None:
        self.module, self.folder, self.count = module, folder, count
        self._step = 0
        self._due: dict[int, int] = {}

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Know when; ``done`` steps were made before."""
        self._step = done
        due = snapshot_steps(steps, self.count)[:-1]
        self._due = {step: number for number, step in enumerate(due, start=1)}

    def step(self, images: int) -> None:
        """Count, and write when it is time."""
        self._step += 1
        number = self._due.get(self._step)
        if number is not None:
            about = {"role": "generator", "step": str(self._step)}
            save_tensors(self.path(number), self.module.state_dict(), about)

    def path(self, number: int) -> Path:
        """Where a snapshot is."""
        return self.folder / f"generator-{number}.safetensors"

    @property
    def paths(self) -> list[Path]:
        """All of them, the fit's result last."""
        before = [self.path(number) for number in range(1, self.count)]
        return [*before, self.folder / "generator.safetensors"]
