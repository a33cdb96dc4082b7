"""How alike student and teacher are: diagnostics for any method, and the same numbers for given weights.

The teacher's embedding of the validation rows is computed once, by the live teacher, and serves
all students and controls of a run.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.diagnostics.representations import head_cosine, linear_cka, mean_cosine
from stillhouse.engine.diagnostics import Diagnostic, read_off, reads_of
from stillhouse.engine.evaluate import gather
from stillhouse.engine.nodes import Role
from stillhouse.engine.order import order_nodes
from stillhouse.engine.signals import EMBEDDING, LOGITS
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings, opened
from stillhouse.errors import ModelError, WiringError
from stillhouse.functional import cross_entropy
from stillhouse.records.files import Reading
from stillhouse.runs.feeds import Feeds
from stillhouse.runs.stage_run import LAST, StageRun

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation


@dataclass(frozen=True)
class Likeness:
    """What of a teacher is compared; made by `likeness_to`.

    Args:
        feeds, settings: of the run; the settings size and place what is opened.
        validation: the rows.
        embedding: the teacher's, [rows, width].
        head: the weights of its head, one row per class; None where that is no matrix.
    """

    feeds: Feeds
    settings: Settings
    validation: Batches
    embedding: Tensor
    head: Tensor | None

    def with_diagnostics(self, stage: Stage) -> Stage:
        """The stage with diagnostics of its product's likeness, beside those that it has.

        ``embedding_cka``; ``embedding_cosine`` where the widths agree; ``head_cosine``, one number
        per class, where the heads have one shape. A product without a head gets none.
        """
        own = {diagnostic.name for diagnostic in stage.diagnostics}
        more = [diagnostic for diagnostic in self._diagnostics(stage) if diagnostic.name not in own]
        return replace(stage, diagnostics=[*stage.diagnostics, *more])

    def of(self, alone: Stage, weights: Mapping[str, Tensor]) -> dict[str, Reading]:
        """The same numbers for a student with these weights, which are put into it."""
        alone.role(alone.keeps).module.load_state_dict(weights)
        stage = self.with_diagnostics(alone)
        if not stage.diagnostics:
            return {}
        reads = reads_of(stage.diagnostics)
        train, platform = self.feeds.train(self.settings.seed), self.feeds.platform
        with opened(stage, train, self.settings, platform) as trainer:
            return read_off(stage.diagnostics, gather(trainer, reads, self.validation, platform))

    def _diagnostics(self, stage: Stage) -> list[Diagnostic]:
        role = stage.role(stage.keeps)
        width = _embedding_width(_alone(stage, role), self.feeds, self.settings)
        if width is None:
            return []
        theirs, reads = self.embedding, (f"{role.name}.{EMBEDDING}",)
        diagnostics = [Diagnostic("embedding_cka", lambda z: linear_cka(z, theirs), reads)]
        if width == theirs.shape[1]:
            diagnostics.append(
                Diagnostic("embedding_cosine", lambda z: mean_cosine(z, theirs), reads)
            )
        mine, head = _head_weight(role), self.head
        if mine is not None and head is not None and mine.shape == head.shape:
            # Read anew each time: placing a model may give it another tensor.
            diagnostics.append(Diagnostic("head_cosine", lambda: _heads(role, head)))
        return diagnostics


def likeness_to(teacher_stage: Stage, feeds: Feeds, settings: Settings) -> Likeness | None:
    """Look at a teacher once; its stage keeps it and includes its own form of the image.

    None without a validation table, and for a teacher whose head cannot be found or whose embedding
    is not [B, width].
    """
    validation, settings = feeds.validation, replace(settings, compile=False)
    if validation is None or _embedding_width(teacher_stage, feeds, settings) is None:
        return None
    stage, read = _watched(teacher_stage)
    with opened(stage, feeds.train(settings.seed), settings, feeds.platform) as trainer:
        seen = gather(trainer, [read], validation, feeds.platform)[read]
        head = _head_weight(stage.role(stage.keeps))
    return Likeness(feeds, settings, validation, seen, head)


def look_at(job: "Distillation", teacher: nn.Module | None) -> Likeness | None:
    """The likeness to a run's teacher, whether its method needs one or not; None without one."""
    if teacher is None:
        return None
    if teacher not in job.likenesses:
        settings = job.settings(job.recipe.seeds[0])
        job.likenesses[teacher] = likeness_to(job.teacher_stage(teacher), job.feeds, settings)
    return job.likenesses[teacher]


def with_likeness(likeness: Likeness | None, stage: Stage) -> Stage:
    """The stage with diagnostics of likeness, where there is something to be like."""
    return stage if likeness is None else likeness.with_diagnostics(stage)


def diagnostics_of(
    job: "Distillation", seed: int, run: StageRun, teacher: nn.Module | None
) -> dict[str, Reading]:
    """What the diagnostics show of a student or control with the weights of the last epoch.

    A control was trained without diagnostics, since runs with other teachers share it: it is looked at
    here. So is a student that was trained before there were diagnostics.
    """
    likeness = look_at(job, teacher)
    if run.diagnostics or likeness is None:
        return run.diagnostics
    return likeness.of(job.control_stage(seed, teacher), run.weights(LAST)[run.keeps])


def _watched(stage: Stage) -> tuple[Stage, str]:
    """The stage, made to give the embedding of its product on validation, and that signal."""
    read = f"{stage.keeps}.{EMBEDDING}"
    return replace(
        stage, diagnostics=[Diagnostic("embedding", lambda z: z.shape[1], (read,))]
    ), read


def _alone(stage: Stage, role: Role) -> Stage:
    """A stage around this role and what it reads, so that looking at it sizes no other bridge."""
    label = Term("label", cross_entropy, [f"{role.name}.{LOGITS}", "batch.label"])
    return Stage(
        "likeness",
        [role, *order_nodes(stage, role.reads)],
        [Update(role.name, [label])],
        measures={role.name: f"{role.name}.{LOGITS}"},
        keeps=role.name,
    )


def _embedding_width(stage: Stage, feeds: Feeds, settings: Settings) -> int | None:
    """Width of the product's embedding; None when it has none or is no vector per sample."""
    watched, read = _watched(stage)
    with (
        suppress(WiringError, ModelError),  # no head, or one that does not give the logits
        opened(watched, feeds.train(settings.seed), settings, feeds.platform) as trainer,
    ):
        seen = trainer.wiring.seen[read]
        return seen.shape[1] if seen.ndim == 2 else None
    return None


def _head_weight(role: Role) -> Tensor | None:
    """A copy on the CPU of the head's weights [classes, width]; None where that is no matrix."""
    with suppress(ModelError):
        weight = getattr(role.head_module(), "weight", None)
        if isinstance(weight, Tensor) and weight.ndim == 2:
            return weight.detach().float().cpu().clone()
    return None


def _heads(role: Role, theirs: Tensor) -> Tensor:
    mine = _head_weight(role)
    if mine is None:
        raise ModelError(f"the head of '{role.name}' was there before training and is gone")
    return head_cosine(mine, theirs)
