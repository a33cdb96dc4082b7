"""A method on trial: fresh tiny networks, trained in several ways, and what they were before."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from stillhouse.cache import Replay, cached_parts, needed, record, replay_problems
from stillhouse.engine.evaluate import Scores, evaluate
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import FitResult, fit
from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Role
from stillhouse.engine.objective import Weights
from stillhouse.engine.observer import NullObserver, Observer
from stillhouse.engine.optimisers import optimizer_of
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.engine.seeding import StepSeeds
from stillhouse.engine.signals import Signals, part
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, opened
from stillhouse.engine.update_objective import UpdateObjective
from stillhouse.errors import StillhouseError
from stillhouse.testing.contract import positional
from stillhouse.testing.toy import taught, toy_batches, untaught

EPOCHS = 6
STOP_AT = 15
"""The step at which a stage is stopped, to be resumed: in the middle of its third epoch."""


class FitStopped(Exception):  # noqa: N818  (an event of the trial, not an error)
    """The fit was stopped on purpose."""


class StopAtStep(NullObserver):
    """Stops a fit at a step; notes how many steps were made before it."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.done = 0

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Note."""
        self.done = done

    def step(self, images: int) -> None:
        """Count down."""
        self.at -= 1
        if not self.at:
            raise FitStopped


@dataclass(frozen=True)
class Snapshot:
    """A module as it was: weights, flags and hooks, by name.

    >>> layer = nn.Linear(1, 1)
    >>> before = Snapshot.of(layer)
    >>> _ = layer.eval()
    >>> before.flags_problem(layer)
    "module '' was in train mode and is in eval mode"
    """

    weights: Mapping[str, Tensor]
    training: Mapping[str, bool]
    learning: Mapping[str, bool]
    hooks: Mapping[str, int]

    @classmethod
    def of(cls, module: nn.Module) -> "Snapshot":
        """Look at a module."""
        return cls(
            {key: value.detach().clone() for key, value in module.state_dict().items()},
            {name: part.training for name, part in module.named_modules()},
            {name: p.requires_grad for name, p in module.named_parameters()},
            {name: _hooks(part) for name, part in module.named_modules()},
        )

    def changed(self, module: nn.Module) -> list[str]:
        """Names of the weights whose bits are others now."""
        now = module.state_dict()
        return [k for k, v in self.weights.items() if k not in now or not torch.equal(v, now[k])]

    def flags_problem(self, module: nn.Module) -> str | None:
        """The first flag that is another one now."""
        now, words = Snapshot.of(module), {True: "train", False: "eval"}
        for name, was in self.training.items():
            if now.training.get(name) != was:
                return f"module '{name}' was in {words[was]} mode and is in {words[not was]} mode"
        for name, was in self.learning.items():
            if now.learning.get(name) != was:
                return f"requires_grad of '{name}' was {was} and is {not was}"
        return None

    def hooks_problem(self, module: nn.Module) -> str | None:
        """The first module with more or fewer hooks now."""
        for name, now in Snapshot.of(module).hooks.items():
            if now != self.hooks.get(name, 0):
                return f"module '{name}' had {self.hooks.get(name, 0)} hooks and has {now}"
        return None


def _hooks(part: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(part, kind)) for kind in kinds)


@dataclass
class TrialRun:
    """A student, its teacher, the stage that a method made of them, and how it was trained."""

    student: nn.Module
    teacher: nn.Module
    stage: Stage
    student_before: Snapshot
    teacher_before: Snapshot
    fitted: FitResult | None = None

    @property
    def result(self) -> FitResult:
        """What the fit gave. Raises StillhouseError before it is done."""
        if self.fitted is None:
            raise StillhouseError("this trial was not trained yet")
        return self.fitted


class MethodTrial:
    """One method at one pair of widths.

    >>> from stillhouse.methods import kd
    >>> trial = MethodTrial(kd, {}, (4, 6), Path())
    >>> len(trial.first.result.history)
    6
    """

    def __init__(
        self,
        build: Callable[..., Stage],
        options: Mapping[str, Any],
        widths: tuple[int, int],
        folder: Path,
    ) -> None:
        self.build = build
        self.options = options
        self.widths = widths
        self.folder = folder
        self.batches = toy_batches()
        self.settings = Settings(epochs=EPOCHS, seed=3)

    @cached_property
    def platform(self) -> Platform:
        """The CPU in float32, where the same run gives the same bits."""
        return open_platform(device="cpu", precision="fp32")

    def begin(self) -> TrialRun:
        """Fresh networks with telling flags, and the stage that the method makes of them."""
        student, teacher = untaught(self.widths[0]), taught(self.widths[1])
        student.eval().conv.bias.requires_grad_(False)  # type: ignore[union-attr]
        teacher.train().fc.weight.requires_grad_(False)
        before = Snapshot.of(student), Snapshot.of(teacher)
        peer = untaught(self.widths[1])
        there = {"student": student, "teacher": teacher, "peers": [peer]}
        given = [there[name] for name in positional(self.build)]
        stage: object = self.build(*given, **self.options)
        if not isinstance(stage, Stage):
            raise StillhouseError(f"it gives a {type(stage).__name__}, not a Stage")
        return TrialRun(student, teacher, stage.completed(facts_of(self.batches)), *before)

    def train(
        self,
        run: TrialRun,
        *,
        folder: str | None = None,
        observer: Observer | None = None,
        checkpoint_seconds: float = 30.0,
    ) -> TrialRun:
        """Train it for the whole budget; with a folder, checkpoints are kept there."""
        run.fitted = fit(
            run.stage,
            self.batches,
            settings=replace(self.settings, checkpoint_seconds=checkpoint_seconds),
            platform=self.platform,
            validation=self.batches,
            directory=None if folder is None else self.folder / folder,
            observer=observer,
        )
        return run

    @cached_property
    def first(self) -> TrialRun:
        """The run that others are compared with."""
        return self.train(self.begin())

    @cached_property
    def scores_before(self) -> Scores:
        """The measures before any step."""
        stage = self.begin().stage
        with opened(stage, self.batches, self.settings, self.platform) as trainer:
            return evaluate(trainer, self.batches, self.platform)

    @cached_property
    def resumed(self) -> TrialRun:
        """A run that was stopped amid an epoch, and one with fresh networks that goes on."""
        with suppress(FitStopped):
            stopping = StopAtStep(STOP_AT)
            self.train(self.begin(), folder="stopped", observer=stopping, checkpoint_seconds=0.0)
        going_on = StopAtStep(at=-1)
        run = self.train(self.begin(), folder="stopped", observer=going_on)
        if going_on.done != STOP_AT - 1:
            raise StillhouseError(f"it went on after {going_on.done} steps, not {STOP_AT - 1}")
        return run

    def looped(self) -> Weights:
        """The weights after a plain loop over the objective, on the batches of the fit."""
        settings, batches, stage = self.settings, self.batches, self.begin().stage
        homes = Homes([node.module for node in stage.nodes if node.module is not None])
        homes.place(self.platform.device, channels_last=settings.channels_last)
        per_epoch = len(batches)
        steps = per_epoch * settings.epochs
        with stage.open(**_columns(batches.sample()), epochs=settings.epochs,
                        seed=settings.seed) as objective:  # fmt: skip
            stepped = [_optimised(update, settings, steps, per_epoch)
                       for update in objective.updates]  # fmt: skip
            seeds = StepSeeds(settings.seed, "step", 0)
            shown = (batch for epoch in range(settings.epochs)
                     for batch in batches.epoch(epoch, order=stage.order))  # fmt: skip
            for step, batch in enumerate(shown):
                seeds.enter(step)
                for update, optimizer, schedule in stepped:
                    if step % update.plan.update.every == 0:
                        update(**_columns(batch)).loss.backward()
                        optimizer.step()
                        optimizer.zero_grad()
                    schedule.step()
                objective.after_step(progress=(step + 1) / steps)
            return objective.weights()

    def replayed(self) -> TrialRun | None:
        """A run with a cached teacher; None where no frozen role of the stage is the teacher."""
        run = self.begin()
        role = _teacher_role(run)
        if role is None or replay_problems(run.stage, role.name):
            return None
        parts, _ = cached_parts(run.stage, role.name)
        if not parts:
            return None
        other = self.begin().stage  # opening sizes bridges, under the seed of the opening
        with opened(other, self.batches, self.settings, self.platform) as trainer:
            need = needed(run.stage, role.name, trainer.wiring.seen)
        cache = record(
            role, parts, self.batches, self.folder / "cached", {}, self.platform,
            shapes=need.sizing,
        )  # fmt: skip
        run.stage = run.stage.replace(Replay(role.name, cache))
        return self.train(run)


def _columns(batch: Signals) -> dict[str, Any]:
    """A batch as the arguments of a call."""
    names = {"batch.image": "images", "batch.label": "labels"}
    return {names.get(name, part(name)): value for name, value in batch.items()}


def _optimised(
    update: UpdateObjective, settings: Settings, steps: int, per_epoch: int
) -> tuple[UpdateObjective, torch.optim.Optimizer, LRScheduler]:
    own = update.plan.update
    optimizer = optimizer_of(own.optimizer or settings.optimizer, update)
    return update, optimizer, (own.schedule or settings.schedule)(optimizer, steps, per_epoch)


def _teacher_role(run: TrialRun) -> Role | None:
    for node in run.stage.nodes:
        frozen = node.name not in run.stage.learners
        if isinstance(node, Role) and node.module is run.teacher and frozen:
            return node if node.reads == ("batch.image",) else None
    return None
