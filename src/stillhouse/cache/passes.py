"""A pass of a frozen role over the data, as it would run in training."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.diagnostics import Diagnostic
from stillhouse.engine.evaluate import measured
from stillhouse.engine.nodes import Node, Role
from stillhouse.engine.objective import Objective
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, opened
from stillhouse.errors import CacheError, WiringError


@dataclass(frozen=True)
class Pass:
    """A role that is open, and the batches that are shown to it. Made by `running`.

    Args:
        role: frozen.
        objective: the role and what it reads, opened to be looked at.
        train: gives samples and batch size.
        platform: device, precision, processes.
    """

    role: Role
    objective: Objective
    train: Batches
    platform: Platform

    @property
    def size(self) -> int:
        """The batch of the training step of one process: the same arithmetic, the same bits."""
        return self.train.batch_size // self.train.world

    def rows(self, first: int) -> Tensor:
        """A batch in order; the last one is filled up with the last sample."""
        return torch.arange(first, first + self.size).clamp_max(len(self.train.table) - 1)

    def signals(self, rows: Sequence[Tensor], view: int) -> Iterator[Signals]:
        """The role's signals of these batches under one view."""
        for batch in self.train.shown(list(rows), view):
            yield measured(self.objective, batch, self.platform)

    def shape(self, part: str) -> tuple[int, ...]:
        """The shape of one part of one sample, as it was seen when the role was opened."""
        return tuple(self.given(self.objective.wiring.seen, part).shape[1:])

    def given(self, signals: Mapping[str, Tensor], part: str) -> Tensor:
        """One part of the role's signals."""
        return signals[f"{self.role.name}.{part}"]


@contextlib.contextmanager
def running(
    role: Role, parts: Sequence[str], train: Batches, platform: Platform, before: Sequence[Node]
) -> Iterator[Pass]:
    """The role placed, in eval mode and with its hooks; afterwards all is as it was.

    Args:
        role: frozen.
        parts: which of its signals are wanted.
        train: gives samples and batch size.
        platform: device, precision, processes.
        before: nodes that it reads, such as its own form of the image.

    Raises:
        CacheError: the role cannot give a part.
    """
    problems = [problem for part in parts if (problem := role.problem(part))]
    if problems:
        raise CacheError(problems[0])
    reads = [Diagnostic(part, len, (f"{role.name}.{part}",)) for part in parts]
    stage = Stage(role.name, [*before, role], [], measures={}, keeps=role.name, diagnostics=reads)
    with contextlib.ExitStack() as stack:
        try:
            objective = stack.enter_context(opened(stage, train, Settings(), platform))
        except WiringError as error:
            raise CacheError("; ".join(error.problems)) from error
        yield Pass(role, objective, train, platform)
