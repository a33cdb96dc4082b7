"""The epochs of a fit: steps, validation, a line of metrics, a checkpoint when it is time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillhouse.data.batches import BatchSource
from stillhouse.engine.evaluate import Scores, examine
from stillhouse.engine.objective import Objective, Weights
from stillhouse.engine.observer import Observer
from stillhouse.engine.resuming import Resuming
from stillhouse.engine.selection import Progress, Selection
from stillhouse.engine.trainer import Trainer
from stillhouse.errors import NonFiniteLoss, RunError
from stillhouse.records.files import Reading


@dataclass(frozen=True)
class FitResult:
    """What a fit gives: weights of the last and of the best epoch, and the history.

    The best epoch is the one with the best value of the task's metric on validation data, of the
    first measure (the earliest of equals); without validation it is the last. The objective is
    closed; it can be opened again. ``reused`` says that it was found finished in its directory: the
    same call was made before, and nothing was trained.
    """

    last: Weights
    best: Weights
    best_epoch: int
    history: list[dict[str, Any]]
    seconds: float
    objective: Objective
    reused: bool = False


class Epochs:
    """The epochs of one fit on their way.

    Args:
        trainer: makes the steps.
        validation: scored after each epoch.
        files: its checkpoint and lines.
        about: added to each line.
        observer: hears of steps and epochs.
        keep_finished: whether the checkpoint stays when all epochs are done.
    """

    def __init__(
        self,
        trainer: Trainer,
        validation: BatchSource | None,
        files: Resuming,
        about: Mapping[str, Any],
        observer: Observer,
        *,
        keep_finished: bool,
    ) -> None:
        self.trainer, self.validation, self.files = trainer, validation, files
        self.about, self.observer, self.keep_finished = about, observer, keep_finished
        self.platform, self.settings = trainer.platform, trainer.settings
        self.stage = trainer.objective.stage
        self.name = str(about.get("stage", self.stage.name))
        self.selection = Selection(self.stage, trainer.settings, self.name)
        self.progress = Progress()
        self.history: list[dict[str, Any]] = []

    def through(self) -> FitResult:
        """All epochs that are left.

        Raises:
            NonFiniteLoss: says which checkpoint is kept.
        """
        self._resume()
        try:
            return self._all()
        except NonFiniteLoss as error:
            raise error.kept(self.files.kept) from None

    def _resume(self) -> None:
        """Go back to the checkpoint, and forget metrics of epochs after it."""
        found = self.files.load()
        if found is not None:
            self.progress, self.history, begun = found
            if self._finished and begun != self.files.begun:
                raise RunError(self._other(len(self.history)))
            self.files.begun = begun
        self.files.forget_after(self.history)

    def _other(self, epochs: int) -> str:
        return (
            f"{self.files.path} is that of a finished fit of {epochs} epochs, which began with "
            "other weights or other data; use another directory, or delete it to train again (with "
            "identity=... you say yourself what is the same)"
        )

    @property
    def _finished(self) -> bool:
        return self.selection.finished(self.progress, self.history)

    def _all(self) -> FitResult:
        per_epoch = self.trainer.per_epoch
        done = self.progress.epoch * per_epoch + self.progress.step
        self.observer.begin(self.name, self.settings.last_epoch * per_epoch, done)
        reused = self._finished
        while not self._finished:
            self._epoch()
        self.selection.check_reached(self.history)
        if self.keep_finished and not reused:
            self.files.save(self.progress, self.history)
        last = self.trainer.objective.weights()
        return FitResult(
            last,
            self.progress.best or last,
            self.progress.best_epoch or self.progress.epoch,
            self.history,
            self.progress.seconds,
            self.trainer.objective,
            reused,
        )

    def _epoch(self) -> None:
        progress, clock = self.progress, time.perf_counter()
        images = self.trainer.images_per_step
        for step in self.trainer.steps(progress.epoch, progress.step):
            progress.step = step
            self.observer.step(images)
            if self.files.due and step < self.trainer.per_epoch:
                clock = self._count(clock)
                self.files.save(progress, self.history)
        self.trainer.look()
        if not self.trainer.objective.finite:
            done = progress.epoch * self.trainer.per_epoch + progress.step
            raise NonFiniteLoss("", done - 1)
        clock = self._count(clock)
        rate = self.trainer.per_epoch * images / max(progress.epoch_seconds, 1e-9)
        record = self._record(rate)
        self._count(clock)
        record["seconds"] = round(progress.epoch_seconds, 4)
        progress.epoch, progress.step, progress.epoch_seconds = progress.epoch + 1, 0, 0.0
        self.history.append(record)
        self.files.add(record)
        for stepper in self.trainer.steppers:
            stepper.meter.reset()
            stepper.parts.reset()
        if self.files.due and progress.epoch < self.settings.last_epoch:
            self.files.save(progress, self.history)
        self.observer.epoch(record, self.stage.task.metric)

    def _record(self, rate: float) -> dict[str, Any]:
        """Validate, note the best epoch, and describe the epoch."""
        progress, steppers = self.progress, self.trainer.steppers
        scores: Scores = {}
        diagnostics: dict[str, Reading] = {}
        if self.validation is not None and (self.stage.measures or self.stage.diagnostics):
            scores, diagnostics = examine(self.trainer.objective, self.validation, self.platform)
        self.selection.take(scores, progress, self.trainer.objective.weights)
        means = [stepper.means() for stepper in steppers]
        terms = {name: mean for each in means for name, mean in each.items()}
        parts = {name: mean for each in steppers for name, mean in each.part_means().items()}
        keeps = self.stage.keeps
        own = [s for s in steppers if keeps in s.update.plan.update.learners] or steppers
        mine = [name for s, each in zip(steppers, means, strict=True) if s in own for name in each]
        weights = self.trainer.weights_at(float(progress.epoch + 1))
        return {
            "event": "epoch",
            "stage": self.stage.name,
            **self.about,
            "epoch": progress.epoch + 1,
            "step": (progress.epoch + 1) * self.trainer.per_epoch,
            "loss": sum(weights[name] * terms[name] for name in mine),
            "terms": terms,
            "weights": weights,
            **({"parts": parts} if parts else {}),
            "lr": own[0].lr,
            "validation": scores,
            **({"diagnostics": diagnostics} if diagnostics else {}),
            "images_per_second": round(rate, 1),
            **self._noun(),
        }

    def _noun(self) -> dict[str, str]:
        """What rows are, where they are no images: so they are counted by their right name."""
        rows_are = self.stage.task.rows_are
        return {} if rows_are in ("images", "boxes") else {"rows_are": rows_are}

    def _count(self, clock: float) -> float:
        """Add the time since ``clock`` to the books; gives the new clock."""
        now = time.perf_counter()
        self.progress.seconds += now - clock
        self.progress.epoch_seconds += now - clock
        return now
