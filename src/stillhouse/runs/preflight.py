"""Preflight: what a run would do, on two batches, before an epoch is spent."""

from dataclasses import dataclass

import torch

from stillhouse.engine.composite import run_outside
from stillhouse.engine.player import Player
from stillhouse.engine.signals import shape_text
from stillhouse.engine.trainer import opened
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
        planner = Planner(job.rehearsing(), teacher, trained=job.teacher.given)
        plan = planner.plan(timed=job.teacher.given).why
    seed, job = job.recipe.seeds[0], job.rehearsing()
    train = job.feeds.train(seed)
    stage = job.student_stage(seed, teacher)
    with opened(stage, train, job.settings(seed), job.feeds.platform) as trainer:
        signals = tuple((name, shape_text(t)) for name, t in trainer.wiring.seen.items())
        batches = [batch for batch, _ in zip(train.epoch(0), range(BATCHES), strict=False)]
        lines = [line for player in trainer.players for line in _terms(player, batches)]
        return Preflight(signals, tuple(lines), trainer.per_epoch, accuracy, plan)


def _terms(player: Player, batches: list[dict[str, torch.Tensor]]) -> list[TermLine]:
    values, norms = [], []
    weights = player.weights_at(1.0)
    sums = [torch.zeros(()) for _ in weights]
    for batch in batches:
        terms = player.composite(run_outside(player.plan.outside, batch))
        values.append(terms.detach().double().cpu())
        for at, term in enumerate(terms.unbind()):
            grads = torch.autograd.grad(
                term, player.parameters, retain_graph=True, allow_unused=True
            )
            square = sum(
                (g.double().square().sum() for g in grads if g is not None), sums[0].new_zeros(())
            )
            sums[at] = sums[at] + square.cpu()
    norms = [w * s.sqrt().item() for w, s in zip(weights.values(), sums, strict=True)]
    total = sum(norms) or 1.0
    means = torch.stack(values).mean(0).tolist()
    return [
        TermLine(name, mean, weight, norm / total)
        for (name, weight), mean, norm in zip(weights.items(), means, norms, strict=True)
    ]
