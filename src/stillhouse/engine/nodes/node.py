"""What every node is: it reads signals and returns signals under its own name."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from stillhouse.engine.signals import Signals, as_names
from stillhouse.errors import WiringError


class Node(ABC):
    """Reads signals, returns signals under its own name."""

    cached = False  # whether it knows training rows only, so that validation cannot read it

    def __init__(self, name: str, reads: str | Iterable[str]) -> None:
        if not name.isidentifier():
            raise WiringError(f"node '{name}'", ["a node's name is a word without dots or spaces"])
        self.name = name
        self.reads = as_names(reads)

    @property
    def needs(self) -> tuple[str, ...]:
        """All signals that must exist before this node runs."""
        return self.reads

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name

    @property
    def module(self) -> nn.Module | None:
        """The module whose parameters this node trains, if any."""
        return None

    @abstractmethod
    def problem(self, part: str) -> str | None:
        """Why this node cannot give a part; None when it can, or when only a run can tell."""

    def open(self, parts: Collection[str]) -> None:  # noqa: B027  (most nodes have nothing to open)
        """Make ready to give these parts until `close`."""

    def close(self) -> None:  # noqa: B027
        """Leave nothing behind."""

    def step(self, signals: Mapping[str, Tensor]) -> Signals:
        """What a training step needs of `run`: all of it, unless the node says otherwise."""
        return self.run(signals)

    @abstractmethod
    def run(self, signals: Mapping[str, Tensor]) -> Signals:
        """Signals under full names, from the signals that it reads."""


def in_precision(
    own: torch.dtype | None, given: Sequence[Tensor]
) -> tuple[list[Tensor], torch.dtype | None]:
    """The inputs in a module's own precision; and theirs, where it is another one.

    What is in float32 takes its inputs as they are: autocast is about such modules.
    """
    floating = [value.dtype for value in given if value.is_floating_point()]
    if own in (None, torch.float32) or all(dtype == own for dtype in floating):
        return list(given), None
    return [value.to(own) if value.is_floating_point() else value for value in given], floating[0]
