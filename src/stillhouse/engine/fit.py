"""Fit: the epochs of a stage, with validation, checkpoints and metrics."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from stillhouse.data.batches import BatchSource
from stillhouse.data.loaders import Data, batches_of
from stillhouse.engine.checkpoint import Checkpoint
from stillhouse.engine.evaluate import Scores, evaluate, examine
from stillhouse.engine.fit_identity import fit_beginning, fit_identity
from stillhouse.engine.objective import Objective
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.engine.seeding import seeded
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, Trainer, Weights, opened, training
from stillhouse.errors import NonFiniteLoss, RunError, WiringError
from stillhouse.records.files import Lines, Reading
from stillhouse.records.metric import Metric

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"


class Observer(Protocol):
    """Who wants to know how a fit goes, such as a progress bar."""

    def begin(self, stage: str, steps: int, done: int) -> None:
        """A fit begins, ``done`` of its steps made before."""

    def step(self, images: int) -> None:
        """One optimiser step was made, with so many images."""

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """An epoch ended; the record is a line of metrics.jsonl, the metric is the task's."""


class NullObserver:
    """An observer that says nothing."""

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Nothing."""

    def step(self, images: int) -> None:
        """Nothing."""

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """Nothing."""


@dataclass
class Progress:
    """How far a fit is, and the best epoch so far. Part of the checkpoint."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    best: Weights = field(default_factory=dict)
    seconds: float = 0.0
    epoch_seconds: float = 0.0


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


def fit(
    stage: Stage,
    train: Data,
    validation: Data | None = None,
    *,
    epochs: int | None = None,
    batch_size: int = 64,
    settings: Settings | None = None,
    platform: Platform | None = None,
    directory: Path | str | None = None,
    identity: str = "",
    about: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    keep_finished: bool = True,
) -> FitResult:
    """Train a stage for its budget, or go on where a stopped fit was, or find it finished.

    Args:
        stage: what the method composed.
        train: a Dataset of (image, label) or of mappings, a DataLoader of such batches, or one of
            our tables or `Batches`.
        validation: likewise; scored after each epoch, and diagnostics are read off it.
        epochs: passes over the training data, instead of those of the settings.
        batch_size: of a Dataset or a table; a DataLoader and `Batches` have their own. Each epoch
            shows as many whole batches as there are, in a new order; the rows that are left over in
            one epoch come in another.
        settings: budget and rules; `Settings()` where they are left out.
        platform: device, precision, processes; chosen by what is there where it is left out.
        directory: for checkpoints and metrics.jsonl; None keeps both in memory only.
        identity: fingerprint of everything that decides the result; a checkpoint of another one is
            refused. Where it is left out, it is made of the stage, the settings and the number of
            batches.
        about: added to each line of metrics.
        observer: hears of steps and epochs.
        keep_finished: whether the checkpoint stays when all epochs are done, so that the same call
            gives the same result again without training; of no use to those who keep the result.

    Returns:
        The weights of the last and of the best epoch, and the history. The networks of the stage
        hold the last weights.

    Raises:
        DataError: the data are none of these.
        WiringError: the stage does not fit together; nothing was run.
        NonFiniteLoss: a term became nan or inf; the last good checkpoint is kept.
        RunError: the checkpoint is damaged, belongs to another fit or is that of a finished one
            which began with other weights or data; or the value that was waited for never came.

    >>> import torch
    >>> from torch import nn
    >>> from torch.utils.data import TensorDataset
    >>> from stillhouse.methods import plain
    >>> data = TensorDataset(torch.randn(32, 4), torch.tensor([0, 1] * 16))
    >>> fitted = fit(plain(nn.Linear(4, 2)), data, validation=data, epochs=2, batch_size=8)
    >>> len(fitted.history), sorted(fitted.history[-1]["validation"]["student"])
    (2, ['accuracy', 'loss'])
    """
    given: object = stage
    if not isinstance(given, Stage):
        said = f"a fit trains a stage, what a method gives; this is {given!r:.60}"
        raise WiringError("fit", [said])
    if train is None:
        raise WiringError("fit", ["there are no training data; give a Dataset or a DataLoader"])
    settings = settings or Settings()
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    if settings.until_metric is not None and validation is None:
        raise WiringError(
            "settings", ["until_metric is read from validation data, and there are none"]
        )
    platform = platform or open_platform()
    served = [
        None if data is None else batches_of(
            data, batch_size=batch_size, seed=settings.seed, device=platform.device,
            rank=platform.rank, world=platform.world,
        )
        for data in (train, validation)
    ]  # fmt: skip
    learnt, scored = served
    assert learnt is not None  # noqa: S101  (train is never None)
    with (
        seeded(settings.seed, "fit"),
        training(stage, learnt, settings, platform) as trainer,
    ):
        place = Path(directory) if directory else None
        known = identity or fit_identity(trainer.objective.stage, settings, len(learnt))
        begun = "" if identity or place is None else fit_beginning(trainer.objective.stage, learnt)
        hears = observer or NullObserver()
        run = _Run(trainer, scored, place, known, about or {}, hears, begun, keep_finished)
        return run.through()


def score(
    stage: Stage,
    weights: Weights,
    train: BatchSource,
    table: BatchSource,
    settings: Settings,
    platform: Platform,
) -> Scores:
    """Score a stage with these weights on a table; ``train`` sizes its bridges as in the fit."""
    with seeded(settings.seed, "fit"), opened(stage, train, settings, platform) as objective:
        objective.load_weights(weights)
        return evaluate(objective, table, platform)


class _Run:
    """One fit on its way."""

    def __init__(
        self,
        trainer: Trainer,
        validation: BatchSource | None,
        directory: Path | None,
        identity: str,
        about: Mapping[str, Any],
        observer: Observer,
        begun: str,
        keep_finished: bool,
    ) -> None:
        self.trainer = trainer
        self.begun, self.keep_finished = begun, keep_finished
        self.validation = validation
        self.about = about
        self.observer = observer
        self.platform = trainer.platform
        self.settings = trainer.settings
        self.stage = trainer.objective.stage
        self.metric = self.stage.task.metric
        self.progress = Progress()
        self.history: list[dict[str, Any]] = []
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        self.checkpoint = Checkpoint(directory / CHECKPOINT, identity) if directory else None
        self.lines = Lines(directory / METRICS) if directory else None
        self._saved_at = time.monotonic()
        self._kept = "no checkpoint was written yet"

    def through(self) -> FitResult:
        """All epochs that are left.

        Raises:
            NonFiniteLoss: says which checkpoint is kept.
        """
        self._resume()
        try:
            return self._epochs()
        except NonFiniteLoss as error:
            raise error.kept(self._kept) from None

    def _epochs(self) -> FitResult:
        done = self.progress.epoch * self.trainer.per_epoch + self.progress.step
        name = str(self.about.get("stage", self.stage.name))
        self.observer.begin(name, self.settings.last_epoch * self.trainer.per_epoch, done)
        reused = self._finished
        while not self._finished:
            self._epoch()
        if self.settings.until_metric is not None and not self._good_enough():
            raise RunError(self._never(self.settings.until_metric))
        if self.keep_finished and not reused:
            self._save()
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

    @property
    def _finished(self) -> bool:
        """Whether no epoch is left."""
        return self.progress.epoch >= self.settings.last_epoch or self._good_enough()

    def _good_enough(self) -> bool:
        """Whether the validation value that was waited for is reached."""
        target = self.settings.until_metric
        if target is None or not self.history:
            return False
        return self.metric.reached(self._headline(self.history[-1]["validation"]), target)

    def _headline(self, scores: Scores) -> float:
        return scores[self.stage.headline][self.metric.name]

    def _never(self, target: float) -> str:
        values = [self._headline(record["validation"]) for record in self.history]
        best = max(values) if self.metric.higher_is_better else min(values)
        who, metric = self.about.get("stage", self.stage.name), self.metric
        easier = "less" if metric.higher_is_better else "more"
        wanted, reached = metric.with_unit(target), metric.with_unit(best)
        return (
            f"{who}: waited for {wanted} of validation {metric.name} and reached {reached} in "
            f"{len(self.history)} epochs; ask for {easier} or give it more epochs"
        )

    def _other(self, epochs: int) -> str:
        at = None if self.checkpoint is None else self.checkpoint.path
        return (
            f"{at} is that of a finished fit of {epochs} epochs, which began with other weights or "
            "other data; use another directory, or delete it to train again (with identity=... you "
            "say yourself what is the same)"
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
        if self.lines is not None and self.platform.main:
            self.lines.append(record)
        for stepper in self.trainer.steppers:
            stepper.meter.reset()
        if self._due() and progress.epoch < self.settings.last_epoch:
            self._save()
        self.observer.epoch(record, self.metric)

    def _record(self, rate: float) -> dict[str, Any]:
        """Validate, note the best epoch, and describe the epoch."""
        progress = self.progress
        steppers = self.trainer.steppers
        scores: Scores = {}
        diagnostics: dict[str, Reading] = {}
        if self.validation is not None and (self.stage.measures or self.stage.diagnostics):
            scores, diagnostics = examine(self.trainer.objective, self.validation, self.platform)
        if scores:
            value = self._headline(scores)
            if progress.best_score is None or self.metric.is_better(value, progress.best_score):
                progress.best_score, progress.best_epoch = value, progress.epoch + 1
                progress.best = self.trainer.objective.weights()
        means = [stepper.means() for stepper in steppers]
        terms = {name: mean for each in means for name, mean in each.items()}
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
        self.trainer.look()
        if not self.trainer.objective.finite:
            return  # keep the last good one; the next step will tell which term it was
        if self.checkpoint is not None and self.platform.main:
            state = {**self.trainer.state_dict(), "progress": vars(self.progress)}
            self.checkpoint.save({**state, "history": self.history, "begun": self.begun})
            self._keep()
        self._saved_at = time.monotonic()

    def _keep(self) -> None:
        """Remember where the checkpoint is that a bad loss cannot harm."""
        if self.checkpoint is not None:
            at = f"epoch {self.progress.epoch + 1}, step {self.progress.step}"
            self._kept = f"the checkpoint of {at} is kept in {self.checkpoint.path}"

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
            if self._finished and state["begun"] != self.begun:
                raise RunError(self._other(len(self.history)))
            self.begun = state["begun"]
            self._keep()
        if self.lines is not None and self.platform.main:
            self.lines.rewrite(self.history)
