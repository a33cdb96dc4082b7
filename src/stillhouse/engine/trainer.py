"""A stage that is being trained: its settings, the steps of its objective, and its whole state."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from stillhouse.data.batches import BatchSource
from stillhouse.engine.facts import facts_of
from stillhouse.engine.graph import Graph
from stillhouse.engine.graphs import GRAPHS, Compile, graphs_problem
from stillhouse.engine.layout import Homes
from stillhouse.engine.objective import Objective, Weights
from stillhouse.engine.optimisers import OptimizerFactory, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.schedules import ScheduleFactory, cosine
from stillhouse.engine.seeding import StepSeeds
from stillhouse.engine.signals import Signals, shape_text
from stillhouse.engine.stage import Stage
from stillhouse.engine.stepper import Stepper
from stillhouse.engine.teaching import Practice
from stillhouse.engine.threads import thread_budget
from stillhouse.errors import DataError, WiringError

__all__ = ["Settings", "Trainer", "Weights", "opened", "training"]

MORE = 3
"""So many batches of the first epoch are tried before a term is said to teach nobody."""


@dataclass(frozen=True)
class Settings:
    """The budget and the rules of a fit; the same for a student and for its control.

    Args:
        epochs: passes over the training table.
        seed: of initialisation of bridges, order of samples and randomness inside models.
        optimizer, schedule: for all updates that bring none.
        accumulate: micro-batches per optimiser step.
        clip: largest norm of the gradient.
        compile: compile the composite of each update; ``"graphs"``: record CUDA graphs, too.
        channels_last: memory layout of convolutional models (faster on most hardware).
        checkpoint_seconds: least time between checkpoints; they never change the result.
        until_epoch, until_metric: stop earlier, after this epoch or after the first whose
            validation value of the task's metric is as good as this one (accuracy: a share). The
            schedule stays that of all epochs, so what is kept is a snapshot of the whole training.
        patience: stop once so many epochs in a row were no better on validation, by the task's
            metric of the first measure, than the best before them. The schedule stays, too.
    """

    epochs: int = 30
    seed: int = 0
    optimizer: OptimizerFactory = field(default_factory=sgd)
    schedule: ScheduleFactory = field(default_factory=cosine)
    accumulate: int = 1
    clip: float | None = None
    compile: Compile = False
    channels_last: bool = True
    checkpoint_seconds: float = 30.0
    until_epoch: int | None = None
    until_metric: float | None = None
    patience: int | None = None

    @property
    def last_epoch(self) -> int:
        """The epoch after which it ends at the latest."""
        return min(self.epochs, self.until_epoch or self.epochs)

    def steps_per_epoch(self, train: BatchSource) -> int:
        """How many steps an epoch of these batches has. Raises WiringError where it has none."""
        steps = len(train) // self.accumulate
        if steps < 1:
            said = f"accumulate {self.accumulate} is more than the {len(train)} batches of an epoch"
            raise WiringError("settings", [f"{said}; lower it or the batch size"])
        return steps

    def __post_init__(self) -> None:
        for name in ("epochs", "accumulate", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise WiringError("settings", [f"{name} must be at least 1"])


class Trainer:
    """Steps of an opened stage under a budget.

    Args:
        objective: the stage, placed and opened.
        train: what it learns from.
        settings: budget and rules.
        platform: device, precision, processes.

    Raises:
        WiringError: an epoch has fewer batches than a step takes, or CUDA graphs cannot be here.
    """

    def __init__(
        self, objective: Objective, train: BatchSource, settings: Settings, platform: Platform
    ) -> None:
        problem = graphs_problem(platform) if settings.compile == GRAPHS else None
        if problem:
            raise WiringError("settings", [f"compile: {problem}"])
        self.objective = objective
        self.settings = settings
        self.platform = platform
        self.per_epoch = settings.steps_per_epoch(train)
        self.steps_in_all = self.per_epoch * settings.epochs
        self.images_per_step = train.batch_size * settings.accumulate
        self._train = train
        checks = getattr(train, "checks", None)  # batches of the user's own
        if checks is not None:
            checks.labels = objective.label_problem
        self._seeds = StepSeeds(settings.seed, "step", platform.rank)
        self.steppers = [
            Stepper(
                update,
                platform,
                optimizer=settings.optimizer,
                schedule=settings.schedule,
                steps=self.steps_in_all,
                per_epoch=self.per_epoch,
                clip=settings.clip,
                compile=settings.compile,
                parts=objective.stage.task.parts,
            )
            for update in objective.updates
        ]

    def steps(self, epoch: int, start: int = 0) -> Iterator[int]:
        """Make the optimiser steps of an epoch from one on; gives the number of each when done.

        Raises:
            NonFiniteLoss: a term is nan or inf.
        """
        parts = self.settings.accumulate
        self.objective.set_progress((epoch * self.per_epoch + start) / self.steps_in_all)
        batches = self._train.epoch(epoch, start=start * parts, order=self.objective.stage.order)
        group: list[Signals] = []
        at = start
        for batch in batches:
            group.append(batch)
            if len(group) < parts:
                continue
            self._step(group, epoch * self.per_epoch + at)
            group = []
            at += 1
            yield at
            if at == self.per_epoch:
                return

    def _step(self, group: list[Signals], number: int) -> None:
        self._seeds.enter(number)
        for stepper in self.steppers:
            if number % stepper.every:
                stepper.skip()
                continue
            for at, batch in enumerate(group):
                last, share = at == len(group) - 1, 1.0 / len(group)
                try:
                    stepper.step(batch, number=number, last=last, share=share)
                except (RuntimeError, ValueError, IndexError) as error:
                    problem = self._unlike_first(batch, number, error)
                    if problem is None:
                        raise
                    raise problem from error
        self.objective.after_step(progress=(number + 1) / self.steps_in_all)

    def _unlike_first(self, batch: Signals, number: int, error: Exception) -> DataError | None:
        """What to say where networks fail on a batch of another shape than they were checked on."""
        for name, seen in self.objective.wiring.seen.items():
            if name in batch and batch[name].shape[1:] != seen.shape[1:]:
                now, before = (shape_text(value[0]) for value in (batch[name], seen))
                return DataError(
                    f"step {number + 1}: the networks fail on a batch whose rows of '{name}' are "
                    f"{now}; they were checked on {before} ({str(error).splitlines()[0]})"
                )
        return None

    def look(self) -> None:
        """Make sure that all terms so far are finite.

        Raises:
            NonFiniteLoss: one is not.
        """
        for stepper in self.steppers:
            stepper.meter.look()

    def weights_at(self, epoch: float) -> dict[str, float]:
        """The weight of each term at an epoch."""
        epochs = float(self.settings.epochs)
        return {t.name: t.weight_at(epoch, epochs) for t in self.objective.stage.terms()}

    def state_dict(self) -> dict[str, Any]:
        """Nodes that change, optimisers, schedules, scalers, meters, memories."""
        nodes = {name: module.state_dict() for name, module in self.objective.stateful().items()}
        return {"nodes": nodes, "updates": [stepper.state_dict() for stepper in self.steppers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state back."""
        self.objective.load_weights(state["nodes"])
        for stepper, kept in zip(self.steppers, state["updates"], strict=True):
            stepper.load_state_dict(kept)


def _practice(stage: Graph, train: BatchSource) -> Practice:
    """Batches of the size that a process sees; with several processes all see the first alone."""

    def others() -> Iterator[Signals]:
        if train.world == 1:
            yield from islice(train.epoch(0, order=stage.order), MORE)

    rows = train.batch_size // train.world
    return Practice(train.sample(rows), others(), getattr(train, "rows_of_last", None))


@contextmanager
def opened(
    stage: Stage | Objective, train: BatchSource, settings: Settings, platform: Platform
) -> Iterator[Objective]:
    """The objective of a stage on a platform; afterwards devices, layouts and flags are as before.

    An objective that was closed is opened again as it was: nothing is checked or sized.

    Raises:
        WiringError: the stage does not fit together (before anything was changed).
    """
    known = stage if isinstance(stage, Objective) else None
    graph = stage.stage if isinstance(stage, Objective) else stage.completed(facts_of(train))
    homes = Homes(graph.modules())
    try:
        homes.place(platform.device, channels_last=settings.channels_last)
        if known is None:
            known = Objective(
                graph,
                train.sample(),
                seed=settings.seed,
                epochs=settings.epochs,
                autocast=platform.autocast_dtype,
                practice=_practice(graph, train) if graph.updates else None,
            )
        else:
            known.reopen()
        with known, thread_budget(train.loading, platform):
            yield known
    finally:
        homes.restore()


@contextmanager
def training(
    stage: Stage, train: BatchSource, settings: Settings, platform: Platform
) -> Iterator[Trainer]:
    """The steps of a stage on a platform; afterwards all but the weights is as before.

    Raises:
        WiringError: the stage does not fit together (before anything was changed).
    """
    with opened(stage, train, settings, platform) as objective:
        yield Trainer(objective, train, settings, platform)
