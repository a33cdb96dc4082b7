"""Preflight: what a run would do, on two batches, before an epoch is spent."""

from dataclasses import dataclass

import torch

from stillhouse.engine.gradients import gradient_norms
from stillhouse.engine.objective import UpdateObjective
from stillhouse.engine.signals import shape_text
from stillhouse.engine.trainer import Trainer, opened
from stillhouse.runs.distill import Distillation
from stillhouse.runs.scoring import accuracies
from stillhouse.runs.teacher_plan import Planner

BATCHES = 2


@dataclass(frozen=True)
class TermLine:
    """One term on two batches: its mean, its weight, and its share of the gradient.

    The share is ``|w_i g_i| / sum_j |w_j g_j|`` with g the gradient of the mean term at all
    learning parameters: it says how much each term pulls before any training.
    """

    name: str
    value: float
    weight: float
    gradient_share: float


@dataclass(frozen=True)
class Preflight:
    """What `stillhouse check` prints."""

    signals: tuple[tuple[str, str], ...]
    terms: tuple[TermLine, ...]
    steps_per_epoch: int
    teacher_accuracy: float | None
    teacher_plan: str | None


def preflight(job: Distillation) -> Preflight:
    """Dry-run the student's stage; the teacher, when it comes trained, is evaluated first."""
    teacher, accuracy = None, None
    if job.teacher is not None:
        teacher = job.teacher.make(job.recipe.seeds[0])
        if job.teacher.given:
            alone = job.teacher_stage(teacher)
            accuracy = accuracies(job, alone, None, job.feeds.validation).get("student")
    plan = None
    if teacher is not None and job.teacher is not None and job.method.needs_teacher:
        planner = Planner(job.dry_run_job(), teacher, trained=job.teacher.given)
        plan = planner.plan(timed=job.teacher.given).why
    seed, job = job.recipe.seeds[0], job.dry_run_job()
    train = job.feeds.train(seed)
    stage = job.balanced_stage(seed, teacher)
    platform = job.feeds.platform
    with opened(stage, train, job.settings(seed), platform) as objective:
        trainer = Trainer(objective, train, job.settings(seed), platform)
        signals = tuple((name, shape_text(t)) for name, t in objective.wiring.seen.items())
        batches = [batch for batch, _ in zip(train.epoch(0), range(BATCHES), strict=False)]
        lines = [line for update in objective.updates for line in _terms(update, batches, trainer)]
        return Preflight(signals, tuple(lines), trainer.per_epoch, accuracy, plan)


def _terms(
    update: UpdateObjective, batches: list[dict[str, torch.Tensor]], trainer: Trainer
) -> list[TermLine]:
    weights = {name: trainer.weights_at(1.0)[name] for name in update.names}
    with torch.no_grad():
        values = [update(batch).values for batch in batches]
    means = torch.stack(values).double().mean(0).tolist()
    norms = gradient_norms(update, batches, list(update.parameters()), trainer.platform)
    weighted = {name: weight * norms[name] for name, weight in weights.items()}
    total = sum(weighted.values()) or 1.0
    return [
        TermLine(name, mean, weights[name], norm / total)
        for (name, norm), mean in zip(weighted.items(), means, strict=True)
    ]
