"""A stage that is being trained: opened modules, updates in play, and its whole state."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.flags import Flags, Frozen, Playing
from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Ema, Node, Role
from stillhouse.engine.optimisers import OptimizerFactory, ScheduleFactory, cosine, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.player import Player
from stillhouse.engine.seeding import StepSeeds
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage
from stillhouse.engine.threads import thread_budget
from stillhouse.engine.wiring import Wiring, wire
from stillhouse.errors import WiringError

Weights = dict[str, dict[str, Tensor]]
"""State dicts by the name of the node."""


@dataclass(frozen=True)
class Settings:
    """The budget and the rules of a fit; the same for a student and for its control.

    Args:
        epochs: passes over the training table.
        seed: of initialisation of bridges, order of samples and randomness inside models.
        optimizer, schedule: for all updates that bring none.
        accumulate: micro-batches per optimiser step.
        clip: largest norm of the gradient.
        compile: compile the composite of each update.
        channels_last: memory layout of convolutional models (faster on most hardware).
        checkpoint_seconds: least time between checkpoints; they never change the result.
        until_epoch, until_accuracy: stop earlier, after this epoch or after the first whose
            validation accuracy is at least this share. The schedule stays that of all epochs, so
            what is kept is a snapshot of the whole training.
    """

    epochs: int = 30
    seed: int = 0
    optimizer: OptimizerFactory = field(default_factory=sgd)
    schedule: ScheduleFactory = field(default_factory=cosine)
    accumulate: int = 1
    clip: float | None = None
    compile: bool = False
    channels_last: bool = True
    checkpoint_seconds: float = 30.0
    until_epoch: int | None = None
    until_accuracy: float | None = None

    @property
    def last_epoch(self) -> int:
        """The epoch after which it ends at the latest."""
        return min(self.epochs, self.until_epoch or self.epochs)

    def __post_init__(self) -> None:
        for name in ("epochs", "accumulate"):
            if getattr(self, name) < 1:
                raise WiringError("settings", [f"{name} must be at least 1"])


class Trainer:
    """Steps of a stage. Made by `opened`, which also puts everything back."""

    def __init__(
        self, wiring: Wiring, train: Batches, settings: Settings, platform: Platform
    ) -> None:
        self.wiring = wiring
        self.settings = settings
        self.platform = platform
        self.per_epoch = len(train) // settings.accumulate
        if self.per_epoch < 1:
            raise WiringError(
                "settings",
                [f"accumulate {settings.accumulate} is more than the {len(train)} batches of an "
                 "epoch; lower it or the batch size"],
            )  # fmt: skip
        self.images_per_step = train.batch_size * settings.accumulate
        self._train = train
        learners = set(wiring.stage.learners)
        modules = [node.module for node in wiring.nodes if node.name not in learners]
        parts = [
            part
            for node in wiring.nodes
            if isinstance(node, Role) and node.name in learners
            for part in node.frozen_parts()
        ]
        self._frozen = Frozen([*(module for module in modules if module is not None), *parts])
        self._learning = [n.module for n in wiring.nodes if n.name in learners and n.module]
        self._followers = [node for node in wiring.stage.nodes if isinstance(node, Ema)]
        self._seeds = StepSeeds(settings.seed, "step", platform.rank)
        losses = [term.module for term in wiring.stage.terms() if term.module is not None]
        for module in [*self._learning, *losses]:
            module.train()
        self._frozen.keep()
        self.players = [
            Player(
                plan,
                platform,
                optimizer=settings.optimizer,
                schedule=settings.schedule,
                steps=self.per_epoch * settings.epochs,
                per_epoch=self.per_epoch,
                clip=settings.clip,
                compile=settings.compile,
            )
            for plan in wiring.updates
        ]
        self._playing = Playing(self._learning) if len(self.players) > 1 else None

    def steps(self, epoch: int, start: int = 0) -> Iterator[int]:
        """Play the optimiser steps of an epoch from one on; gives the number of each when done."""
        parts = self.settings.accumulate
        batches = self._train.epoch(epoch, start=start * parts, order=self.wiring.stage.order)
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

    def _step(self, group: list[Signals], step: int) -> None:
        self._frozen.keep()
        self._seeds.enter(step)
        for player in self.players:
            if step % player.plan.update.every:
                player.skip()
                continue
            if self._playing is not None:
                self._playing.enter(player.learners)
            for at, batch in enumerate(group):
                player.play(
                    batch,
                    step=step,
                    epoch=step / self.per_epoch,
                    last=at == len(group) - 1,
                    share=1.0 / len(group),
                )
        for follower in self._followers:
            if (step + 1) % follower.interval(self.per_epoch, self.settings.epochs) == 0:
                follower.follow()

    def look(self, kept: str) -> None:
        """Make sure that all terms so far are finite; ``kept`` as in `keep`."""
        self.keep(kept)
        for player in self.players:
            player.meter.look(kept)

    def keep(self, kept: str) -> None:
        """Know which checkpoint is good, to say so when a term is not finite."""
        for player in self.players:
            player.kept = kept

    @property
    def finite(self) -> bool:
        """Whether all weights are: a finite loss can still send them to inf in its last step."""
        values = (v for m in self._stateful().values() for v in m.state_dict().values())
        return all(bool(torch.isfinite(v).all()) for v in values if v.is_floating_point())

    def _stateful(self) -> dict[str, nn.Module]:
        learners = set(self.wiring.stage.learners)
        return {
            node.name: node.module
            for node in self.wiring.stage.nodes
            if (node.name in learners or isinstance(node, Ema)) and node.module is not None
        }

    def state_dict(self) -> dict[str, Any]:
        """Nodes that change, optimisers, schedules, scalers, meters, memories."""
        return {
            "nodes": {name: module.state_dict() for name, module in self._stateful().items()},
            "updates": [player.state_dict() for player in self.players],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state back."""
        self.load_weights(state["nodes"])
        for player, kept in zip(self.players, state["updates"], strict=True):
            player.load_state_dict(kept)

    def weights(self) -> Weights:
        """A copy on the CPU of the weights of each node that changes."""
        return {
            name: {
                key: value.detach().cpu().contiguous().clone()
                for key, value in module.state_dict().items()
            }
            for name, module in self._stateful().items()
        }

    def load_weights(self, weights: Weights) -> None:
        """Put such weights back, strictly."""
        for name, module in self._stateful().items():
            module.load_state_dict(weights[name])


@contextmanager
def opened(
    stage: Stage, train: Batches, settings: Settings, platform: Platform
) -> Iterator[Trainer]:
    """A trainer of a checked stage; afterwards flags, hooks, devices and layouts are as before.

    Raises:
        WiringError: the stage does not fit together (before anything was changed).
    """
    stage = stage.completed(train)
    nodes: list[Node] = list(stage.nodes)
    modules = [node.module for node in nodes if node.module is not None]
    modules += [term.module for term in stage.terms() if term.module is not None]
    flags, homes = Flags(modules), Homes(modules)
    try:
        homes.place(platform.device, channels_last=settings.channels_last)
        wiring = wire(stage, train.sample(), seed=settings.seed)
        for node in wiring.nodes:
            node.open([name for name in wiring.parts[node.name] if name])
        with thread_budget(train.loading, platform):
            yield Trainer(wiring, train, settings, platform)
    finally:
        for node in nodes:
            node.close()
        flags.restore()
        homes.restore()


def measured(stage: Stage) -> str:
    """The label whose validation accuracy selects the best epoch."""
    return next(iter(stage.measures))
