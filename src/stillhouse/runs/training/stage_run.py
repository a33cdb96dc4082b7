"""One training in its directory: run it, go on with it, or recognise that it is done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.answers import RowAnswers
from stillhouse.engine.checkpoint import CHECKPOINT
from stillhouse.engine.evaluate import evaluate
from stillhouse.engine.fit import FitResult, fit
from stillhouse.engine.objective import Objective
from stillhouse.engine.seeding import seeded
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, Weights, opened
from stillhouse.errors import RunError
from stillhouse.models.given import set_eval
from stillhouse.records.checked import checksums_of, missing_files
from stillhouse.records.files import Reading, remove_unfinished
from stillhouse.records.locks import lock_on
from stillhouse.records.names import from_here
from stillhouse.records.stage import SETTLED, STAGE, StageNotes, StageRecord
from stillhouse.records.tensors import load_state, save_tensors
from stillhouse.records.writable import check_writable
from stillhouse.runs.job.data import JobData
from stillhouse.runs.training.tracked import draw, observer_of
from stillhouse.runs.training.training import Training

LAST, BEST = "last", "best"
ELSEWHERE = "choose another directory (-o DIR, or --shared DIR for teachers and controls)"


@dataclass(frozen=True)
class StageRun:
    """A finished training: its record, its weights, and the stage that has learnt them.

    Args:
        training: what was asked for; its stage is the one that was trained.
        keeps: the node that is its product.
        seconds: of training, without loading and scoring.
        objective: that was fitted, closed; None where it was found finished.
    """

    training: Training
    keeps: str
    best_epoch: int
    epochs: int
    seconds: float
    history: list[dict[str, Any]]
    objective: Objective | None = None

    @property
    def reused(self) -> bool:
        """Whether it was found finished."""
        return self.objective is None

    @property
    def opens(self) -> Stage | Objective:
        """What is opened to measure it: the objective that was fitted, or else the stage."""
        return self.training.stage if self.objective is None else self.objective

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self.training.directory

    def weights(self, which: str) -> Weights:
        """The weights of each node that changed, 'last' or 'best'."""
        weights = {self.keeps: load_state(product_file(self.directory, self.keeps, which))}
        others = others_file(self.directory, which)
        if others.exists():
            for key, value in load_state(others).items():
                node, _, name = key.partition("/")
                weights.setdefault(node, {})[name] = value
        for node in StageRecord.read(self.directory / STAGE).nodes:
            weights.setdefault(node, {})
        return weights

    def module(self, which: str) -> nn.Module:
        """Its product with the weights of an epoch, in eval mode: the module of its stage."""
        module = self.training.stage.role(self.keeps).module
        module.load_state_dict(load_state(product_file(self.directory, self.keeps, which)))
        set_eval(module)
        return module

    def validation(self, which: str, label: str | None = None) -> float | None:
        """The task's metric on validation, of the last or the best epoch.

        By the first measure, or that of this label. None without validation, and where the metric
        was no number.
        """
        record = self.history[self.best_epoch - 1 if which == BEST else -1]
        scores = record["validation"]
        label = next(iter(scores), None) if label is None else label
        found = scores[label][self.training.job.task.metric.name] if label in scores else None
        return None if found is None else float(found)

    @property
    def diagnostics(self) -> dict[str, Reading]:
        """What its diagnostics showed after the last epoch; empty when it had none."""
        return dict(self.history[-1].get("diagnostics", {}))

    @property
    def notes(self) -> Mapping[str, str]:
        """What was settled while its stage was composed; empty when nothing was.

        Raises:
            RunError: the file is damaged.
        """
        path = self.directory / SETTLED
        return StageNotes.read(path).notes if path.exists() else {}


def product_file(directory: Path, keeps: str, which: str) -> Path:
    """``student.safetensors`` for the last epoch, ``student-best.safetensors`` for the best."""
    return directory / (f"{keeps}.safetensors" if which == LAST else f"{keeps}-best.safetensors")


def others_file(directory: Path, which: str) -> Path:
    """Weights of bridges and other nodes, which the product itself does not need."""
    return directory / ("others.safetensors" if which == LAST else "others-best.safetensors")


def train(training: Training) -> StageRun:
    """Train to the end, whatever was there before, and tell trackers of all its epochs.

    A finished training of the same identity is taken as it is; a stopped one goes on from its
    checkpoint; two runs that want the same one: the second waits for the first.

    Raises:
        RunError: the directory holds another training, or a product was changed since.
        NonFiniteLoss: a term became nan or inf.
    """
    found = _trained(training)
    draw(training, found.history)
    return found


def _trained(training: Training) -> StageRun:
    platform, directory = training.job.data.platform, training.directory
    if platform.world == 1:  # nobody changes a finished one, so that reading it needs no lock
        found = _finished(training)
        if found is not None:
            return found
    directory.mkdir(parents=True, exist_ok=True)
    with platform.main_holds(lambda: lock_on(directory / ".lock")):
        if platform.main:
            remove_unfinished(directory)
        found = _finished(training)
        if found is not None:
            return found
        check_writable(directory, ELSEWHERE)  # it may be another user's
        fitted = _fit(training)
        platform.by_main(lambda: _keep(training, fitted))
        return StageRun(
            training,
            training.stage.keeps,
            fitted.best_epoch,
            len(fitted.history),
            fitted.seconds,
            fitted.history,
            fitted.objective,
        )


def _fit(training: Training) -> FitResult:
    data, settings, stage = training.job.data, training.settings, training.stage
    _note(training)
    return fit(
        stage,
        data.train(settings.seed, training.views),
        data.validation,
        settings=settings,
        platform=data.platform,
        directory=training.directory,
        identity=training.identity,
        about=_about(training),
        observer=observer_of(training),
        keep_finished=False,
    )


def _about(training: Training) -> dict[str, Any]:
    return {"stage": training.role, "seed": training.settings.seed}


def _note(training: Training) -> None:
    """Say what was settled while the stage was composed, and keep it beside the product."""
    notes = training.stage.notes
    for what, said in notes.items():
        training.job.watcher.say(f"{what}: {said}")
    if notes and training.job.data.platform.main:
        StageNotes(notes=dict(notes)).write(training.directory / SETTLED)


def _keep(training: Training, fitted: FitResult) -> None:
    """Write the products, then the mark that says it is done, then drop the checkpoint."""
    directory, keeps = training.directory, training.stage.keeps
    about = {key: str(value) for key, value in _about(training).items()}
    for which, weights in ((LAST, fitted.last), (BEST, fitted.best)):
        epoch = len(fitted.history) if which == LAST else fitted.best_epoch
        facts = {"identity": training.identity, **about, "epoch": str(epoch)}
        save_tensors(product_file(directory, keeps, which), weights[keeps], facts)
        others = {
            f"{node}/{key}": value
            for node, state in weights.items()
            if node != keeps
            for key, value in state.items()
        }
        if others:
            save_tensors(others_file(directory, which), others, facts)
    names = sorted(path.name for path in directory.glob("*.safetensors"))
    StageRecord(
        identity=training.identity,
        keeps=keeps,
        nodes=tuple(fitted.last),
        epochs=len(fitted.history),
        best_epoch=fitted.best_epoch,
        seconds=fitted.seconds,
        history=tuple(fitted.history),
        sha256=checksums_of(directory, names),
    ).write(directory / STAGE)
    (directory / CHECKPOINT).unlink(missing_ok=True)


def _finished(training: Training) -> StageRun | None:
    directory, path = training.directory, training.directory / STAGE
    if not path.exists():
        return None
    done = StageRecord.read(path)
    if done.identity != training.identity:
        raise RunError(
            f"{directory} holds a finished stage with fingerprint {done.identity}, this run "
            f"asks for {training.identity}; choose another directory"
        )
    again = StageRecord.AGAIN.format(directory=directory)
    missing = missing_files(directory, done.sha256, RunError, again)
    if missing:
        raise RunError(f"{directory / missing[0]} is missing; {again}")
    place = from_here(directory)
    watcher, steps = training.job.watcher, done.history[-1]["step"] if done.history else 1
    watcher.say(f"{training.role}: finished before, taken from {place}")
    watcher.begin(training.role, steps, steps)
    return StageRun(
        training,
        done.keeps,
        done.best_epoch,
        done.epochs,
        done.seconds,
        list(done.history),
    )


@dataclass(frozen=True)
class ScoresOn:
    """What a set of weights came to on a table.

    Args:
        metric: the task's, by the label of a measure; the first is that of the product.
        answers: of the first measure, row by row, by name (`Task.answers`).
    """

    metric: dict[str, float]
    answers: dict[str, Tensor]


def scores_on(
    stage: Stage | Objective,
    settings: Settings,
    data: JobData,
    table: Batches,
    weights: Iterable[Weights],
) -> list[ScoresOn]:
    """The task's metric of each measure of a stage, for one set of weights after the other.

    The stage is left with the last of them.
    """
    settings, train = replace(settings, compile=False), data.train(settings.seed)
    metric = data.task.metric.name
    with seeded(settings.seed, "fit"), opened(stage, train, settings, data.platform) as objective:
        found = []
        for each in weights:
            objective.load_weights(each)
            kept = RowAnswers(data.task, data.platform, len(table.table))
            first = dict.fromkeys(list(objective.stage.measures)[:1], kept)
            scores = evaluate(objective, table, data.platform, answers=first)
            values = {label: score[metric] for label, score in scores.items()}
            found.append(ScoresOn(values, kept.tensors()))
        return found
