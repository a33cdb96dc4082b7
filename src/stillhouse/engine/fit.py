"""Fit: the epochs of a stage, with validation, checkpoints and metrics."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stillhouse.data.batches import Batches
from stillhouse.engine.checkpoint import Checkpoint
from stillhouse.engine.evaluate import Scores, evaluate, examine
from stillhouse.engine.platform import Platform
from stillhouse.engine.seeding import seeded
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, Trainer, Weights, measured, opened
from stillhouse.errors import NonFiniteLoss, RunError, WiringError
from stillhouse.records.files import Lines, Reading

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"


class Observer(Protocol):
    """Who wants to know how a fit goes, such as a progress bar."""

    def begin(self, stage: str, steps: int, done: int) -> None:
        """A fit begins, ``done`` of its steps made before."""

    def step(self, images: int) -> None:
        """One optimiser step was made, with so many images."""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch ended; the record is a line of metrics.jsonl."""


class Silent:
    """An observer that says nothing."""

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Nothing."""

    def step(self, images: int) -> None:
        """Nothing."""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Nothing."""


@dataclass
class Progress:
    """How far a fit is, and the best epoch so far. Part of the checkpoint."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    best: Weights = field(default_factory=dict)
    seconds: float = 0.0
    epoch_seconds: float = 0.0


@dataclass(frozen=True)
class Fitted:
    """What a fit gives: weights of the last and of the best epoch, and the history.

    The best epoch is the one of the highest validation accuracy of the first measure (the earliest
    of equals); without validation it is the last.
    """

    last: Weights
    best: Weights
    best_epoch: int
    history: list[dict[str, Any]]
    seconds: float


def fit(
    stage: Stage,
    train: Batches,
    settings: Settings,
    platform: Platform,
    *,
    validation: Batches | None = None,
    directory: Path | None = None,
    identity: str = "",
    about: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
) -> Fitted:
    """Train a stage for its budget, or go on where a stopped fit was.

    Args:
        stage: what the method composed.
        train: training batches.
        settings: budget and rules.
        platform: device, precision, processes.
        validation: scored after each epoch; diagnostics are read off it too.
        directory: for checkpoints and metrics.jsonl; None keeps both in memory only.
        identity: fingerprint of everything that decides the result; a checkpoint of another one is
            refused.
        about: added to each line of metrics.
        observer: hears of steps and epochs.

    Raises:
        WiringError: the stage does not fit together; nothing was run.
        NonFiniteLoss: a term became nan or inf; the last good checkpoint is kept.
        RunError: the checkpoint is damaged or belongs to another fit, or the accuracy that was
            waited for never came.
    """
    if settings.until_accuracy is not None and validation is None:
        raise WiringError(
            "settings", ["until_accuracy is read from validation data, and there are none"]
        )
    with seeded(settings.seed, "fit"), opened(stage, train, settings, platform) as trainer:
        run = _Run(trainer, validation, directory, identity, about or {}, observer or Silent())
        return run.through()


def score(
    stage: Stage,
    weights: Weights,
    train: Batches,
    table: Batches,
    settings: Settings,
    platform: Platform,
) -> Scores:
    """Score a stage with these weights on a table; ``train`` sizes its bridges as in the fit."""
    with seeded(settings.seed, "fit"), opened(stage, train, settings, platform) as trainer:
        trainer.load_weights(weights)
        return evaluate(trainer.wiring, table, platform)


class _Run:
    """One fit on its way."""

    def __init__(
        self,
        trainer: Trainer,
        validation: Batches | None,
        directory: Path | None,
        identity: str,
        about: Mapping[str, Any],
        observer: Observer,
    ) -> None:
        self.trainer = trainer
        self.validation = validation
        self.about = about
        self.observer = observer
        self.platform = trainer.platform
        self.settings = trainer.settings
        self.stage = trainer.wiring.stage
        self.progress = Progress()
        self.history: list[dict[str, Any]] = []
        self.checkpoint = Checkpoint(directory / CHECKPOINT, identity) if directory else None
        self.lines = Lines(directory / METRICS) if directory else None
        self._saved_at = time.monotonic()
        self._kept = "no checkpoint was written yet"

    def through(self) -> Fitted:
        """All epochs that are left."""
        self._resume()
        done = self.progress.epoch * self.trainer.per_epoch + self.progress.step
        name = str(self.about.get("stage", self.stage.name))
        self.observer.begin(name, self.settings.last_epoch * self.trainer.per_epoch, done)
        while self.progress.epoch < self.settings.last_epoch and not self._good_enough():
            self._epoch()
        if self.settings.until_accuracy is not None and not self._good_enough():
            raise RunError(self._never(self.settings.until_accuracy))
        last = self.trainer.weights()
        return Fitted(
            last,
            self.progress.best or last,
            self.progress.best_epoch or self.progress.epoch,
            self.history,
            self.progress.seconds,
        )

    def _good_enough(self) -> bool:
        """Whether the validation accuracy that was waited for is reached."""
        target = self.settings.until_accuracy
        if target is None or not self.history:
            return False
        return bool(self._accuracy(self.history[-1]["validation"]) >= target)

    def _accuracy(self, scores: Scores) -> float:
        return scores[measured(self.stage)]["accuracy"]

    def _never(self, target: float) -> str:
        best = max(self._accuracy(record["validation"]) for record in self.history)
        return (
            f"{self.about.get('stage', self.stage.name)}: waited for {100 * target:.2f} % of "
            f"validation accuracy and reached {100 * best:.2f} % in {len(self.history)} epochs; "
            "ask for less or give it more epochs"
        )

    def _epoch(self) -> None:
        progress, clock = self.progress, time.perf_counter()
        images = self.trainer.images_per_step
        for step in self.trainer.steps(progress.epoch, progress.step):
            progress.step = step
            self.observer.step(images)
            if self._due() and step < self.trainer.per_epoch:
                clock = self._count(clock)
                self._save()
        self.trainer.look(self._kept)
        if not self.trainer.finite:
            done = progress.epoch * self.trainer.per_epoch + progress.step
            raise NonFiniteLoss("", done - 1, self._kept)
        clock = self._count(clock)
        rate = self.trainer.per_epoch * images / max(progress.epoch_seconds, 1e-9)
        record = self._record(rate)
        self._count(clock)
        record["seconds"] = round(progress.epoch_seconds, 4)
        progress.epoch, progress.step, progress.epoch_seconds = progress.epoch + 1, 0, 0.0
        self.history.append(record)
        if self.lines is not None and self.platform.main:
            self.lines.append(record)
        for player in self.trainer.players:
            player.meter.reset()
        if self._due() and progress.epoch < self.settings.last_epoch:
            self._save()
        self.observer.epoch(record)

    def _record(self, rate: float) -> dict[str, Any]:
        """Validate, note the best epoch, and describe the epoch."""
        progress = self.progress
        players = self.trainer.players
        scores: Scores = {}
        diagnostics: dict[str, Reading] = {}
        if self.validation is not None and (self.stage.measures or self.stage.diagnostics):
            scores, diagnostics = examine(self.trainer.wiring, self.validation, self.platform)
        if scores:
            accuracy = self._accuracy(scores)
            if accuracy > progress.best_score:
                progress.best_score, progress.best_epoch = accuracy, progress.epoch + 1
                progress.best = self.trainer.weights()
        terms = {name: mean for player in players for name, mean in player.means().items()}
        keeps = self.stage.keeps
        own = [player for player in players if keeps in player.plan.update.learners] or players
        at = float(progress.epoch + 1)
        weights = {name: w for player in players for name, w in player.weights_at(at).items()}
        return {
            "event": "epoch",
            "stage": self.stage.name,
            **self.about,
            "epoch": progress.epoch + 1,
            "step": (progress.epoch + 1) * self.trainer.per_epoch,
            "loss": sum(weights[name] * terms[name] for player in own for name in player.means()),
            "terms": terms,
            "weights": weights,
            "lr": own[0].lr,
            "validation": scores,
            **({"diagnostics": diagnostics} if diagnostics else {}),
            "images_per_second": round(rate, 1),
        }

    def _count(self, clock: float) -> float:
        """Add the time since ``clock`` to the books; gives the new clock."""
        now = time.perf_counter()
        self.progress.seconds += now - clock
        self.progress.epoch_seconds += now - clock
        return now

    def _due(self) -> bool:
        if self.checkpoint is None:
            return False
        return time.monotonic() - self._saved_at >= self.settings.checkpoint_seconds

    def _save(self) -> None:
        """Write a checkpoint of a state that is known to be finite."""
        self.trainer.look(self._kept)
        if not self.trainer.finite:
            return  # keep the last good one; the next step will tell which term it was
        if self.checkpoint is not None and self.platform.main:
            state = {**self.trainer.state_dict(), "progress": vars(self.progress)}
            self.checkpoint.save({**state, "history": self.history})
            self._keep()
        self._saved_at = time.monotonic()

    def _keep(self) -> None:
        """Remember where the checkpoint is that a bad loss cannot harm."""
        if self.checkpoint is not None:
            at = f"epoch {self.progress.epoch + 1}, step {self.progress.step}"
            self._kept = f"the checkpoint of {at} is kept in {self.checkpoint.path}"
            self.trainer.keep(self._kept)

    def _resume(self) -> None:
        """Go back to the checkpoint, and forget metrics of epochs after it."""
        state = self.checkpoint.load(self.platform.device) if self.checkpoint else None
        if state is not None:
            self.trainer.load_state_dict(state)
            self.progress = Progress(**state["progress"])
            self.progress.best = {
                node: {key: value.cpu() for key, value in weights.items()}
                for node, weights in self.progress.best.items()
            }
            self.history = state["history"]
            self._keep()
        if self.lines is not None and self.platform.main:
            epoch = self.progress.epoch
            self.lines.keep(lambda line: line.get("epoch", 0) <= epoch)
