"""Accuracies of the networks of a run: on validation for people, on the test set once."""

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import score
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Weights
from stillhouse.methods import plain
from stillhouse.runs.ancestors import Trained, reading
from stillhouse.runs.integers import scored_in_int8
from stillhouse.runs.likeness import diagnostics_of
from stillhouse.runs.notes import read_notes
from stillhouse.runs.played import Played
from stillhouse.runs.stage_run import BEST, LAST, StageRun

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation

CHANCE_FACTOR = 2.0
"""A teacher under so many times the accuracy of guessing deserves a warning."""


def accuracies(
    job: "Distillation", stage: Stage, weights: Weights | None, table: Batches | None
) -> dict[str, float]:
    """Accuracy of each measure of a stage on a table; empty without a table."""
    if table is None:
        return {}
    settings = job.settings(job.recipe.seeds[0])
    train = job.feeds.train(settings.seed)
    if weights is None:
        weights = {"student": stage.role("student").module.state_dict()}
    found = score(stage, weights, train, table, settings, job.feeds.platform)
    return {label: measure["accuracy"] for label, measure in found.items()}


def mention_teacher(job: "Distillation", teacher: Trained) -> None:
    """Say how good a teacher is, and warn where it is not."""
    if teacher.run is not None:
        job.noted("teacher", teacher.run)
    if teacher.run is not None:
        share = teacher.run.validation(LAST)
    else:
        share = accuracies(job, _alone(teacher), None, job.feeds.validation).get("student")
    if share is None:
        return
    classes = len(job.feeds.splits.classes)
    job.watcher.say(f"teacher: validation accuracy {100 * share:.2f} %")
    wanted_poor = teacher.ancestor.section.until is not None
    if share * classes < CHANCE_FACTOR and not wanted_poor:
        job.watcher.warn(
            f"the teacher is hardly better than guessing among {classes} classes: its class "
            "order, its normalisation or its training may be wrong"
        )


def accuracy_at_start(job: "Distillation", seed: int, teacher: nn.Module | None) -> float:
    """Test accuracy of a student as it was made out of its teacher, before it learnt anything."""
    return accuracies(job, job.control_stage(seed, teacher), None, job.feeds.test)["student"]


def played_ancestor(job: "Distillation", trained: Trained) -> Played:
    """A teacher, or whom it comes from, with its accuracies."""
    role, seed, stage = trained.ancestor.role, trained.seed, _alone(trained)
    if trained.run is not None:
        return _scored(job, role, seed, trained.run, stage)
    test = accuracies(job, stage, None, job.feeds.test)
    validation = accuracies(job, stage, None, job.feeds.validation).get("student")
    both = {"last": test["student"], "best": test["student"]}
    return Played(role, seed, None, {"student": both}, dict.fromkeys(both, validation))


def played(
    job: "Distillation", role: str, seed: int, run: StageRun, teacher: nn.Module | None
) -> Played:
    """A control or a student with its accuracies, by every inference that it has."""
    make = job.control_stage if role == "control" else job.student_stage
    stage = make(seed, teacher)
    found = _scored(job, role, seed, run, stage)
    diagnostics = diagnostics_of(job, seed, run, teacher)
    found = replace(
        found, teacher=teacher, diagnostics=diagnostics, notes=read_notes(run.directory)
    )
    return scored_in_int8(job, found, stage.role(stage.keeps).module)


def _alone(trained: Trained) -> Stage:
    return reading(plain(trained.module), "student", trained.ancestor.input)


def _scored(job: "Distillation", role: str, seed: int, run: StageRun, stage: Stage) -> Played:
    test: dict[str, dict[str, float]] = {}
    for which in (LAST, BEST):
        for label, share in _on_test(job, run, which, stage).items():
            test.setdefault(label, {})[which] = share
    validation = {which: run.validation(which) for which in (LAST, BEST)}
    return Played(role, seed, run, test, validation)


def _on_test(job: "Distillation", run: StageRun, which: str, stage: Stage) -> dict[str, float]:
    """Test accuracies of a finished stage; those of one epoch are read once, whoever asks."""
    key = (run.directory, LAST if run.best_epoch == run.epochs else which)
    if key not in job.on_test:
        job.on_test[key] = accuracies(job, stage, run.weights(which), job.feeds.test)
    return job.on_test[key]
