"""How alike student and teacher are: diagnostics of any method, and the same numbers of a control.

The teacher's embedding of the validation rows is computed once, by the live teacher, and serves
all students and controls that are compared with it.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stillhouse.cache import nodes_before
from stillhouse.cache.passes import running
from stillhouse.data.batches import Batches
from stillhouse.engine.diagnostics import Diagnostic, read_off
from stillhouse.engine.dry_run import head_problem
from stillhouse.engine.evaluate import gather
from stillhouse.engine.flags import Flags
from stillhouse.engine.graph import Graph
from stillhouse.engine.listen import listen
from stillhouse.engine.nodes import Role
from stillhouse.engine.objective import Objective
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, opened
from stillhouse.errors import ModelError, WiringError
from stillhouse.models.given import set_eval
from stillhouse.pairing.paired import shown
from stillhouse.records.files import Reading
from stillhouse.representations.likeness import head_cosine, linear_cka, mean_cosine
from stillhouse.runs.job.data import JobData
from stillhouse.runs.training.stage_run import LAST, StageRun


@dataclass(frozen=True)
class Likeness:
    """What of a teacher is compared; made by `likeness_to`.

    Args:
        data: of the run.
        validation: the rows.
        embedding: the teacher's, [rows, width].
        head: the weights of its head, one row per class; None where that is no matrix.
    """

    data: JobData
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

    def of(self, trained: Stage | Objective) -> dict[str, Reading]:
        """The same numbers for the product of a stage with the weights that it has."""
        stage = _stage(trained)
        diagnostics = self._diagnostics(stage)
        if not diagnostics:
            return {}
        seen = _embedding(trained, self.data, self.validation)
        return read_off(diagnostics, {_read(stage): seen})

    def _diagnostics(self, stage: Graph) -> list[Diagnostic]:
        width = _width(stage, self.data)
        if width is None:
            return []
        role, theirs, reads = stage.role(stage.keeps), self.embedding, (_read(stage),)
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


def likeness_to(teacher: Stage | Objective, data: JobData) -> Likeness | None:
    """Look at a teacher once; its stage keeps it and includes its own form of the image.

    None without a validation table, and for a teacher whose head cannot be found or whose embedding
    is not [B, width].
    """
    validation, stage = data.validation, _stage(teacher)
    if validation is None or _width(stage, data) is None:
        return None
    seen, head = _embedding(teacher, data, validation), _head_weight(stage.role(stage.keeps))
    return Likeness(data, validation, seen, head)


def diagnostics_of(run: StageRun, likeness: Likeness | None) -> dict[str, Reading]:
    """What the diagnostics show of a student or control with the weights of the last epoch.

    A control was trained without diagnostics, since runs with other teachers share it: it is looked
    at here. So is a student that was trained before there were diagnostics.
    """
    if run.diagnostics or likeness is None:
        return run.diagnostics
    run.module(LAST)
    return likeness.of(run.opens)


def _stage(trained: Stage | Objective) -> Graph:
    return trained.stage if isinstance(trained, Objective) else trained


def _read(stage: Graph) -> str:
    return f"{stage.keeps}.{EMBEDDING}"


def _embedding(trained: Stage | Objective, data: JobData, rows: Batches) -> Tensor:
    """The embedding of the rows that diagnostics see, [rows, width]."""
    stage = _stage(trained)
    read, train, platform = _read(stage), data.train(0), data.platform
    if isinstance(trained, Objective):
        with opened(trained, train, Settings(), platform) as known, known.measuring_also([read]):
            return gather(known, [read], rows, platform)[read]
    role = stage.role(stage.keeps)
    before = nodes_before(stage, role.name)
    with running(role, [EMBEDDING], train, platform, before) as work:
        return gather(work.objective, [read], rows, platform)[read]


def _width(stage: Graph, data: JobData) -> int | None:
    """Width of the product's embedding; None when it has none or is no vector per sample."""
    role = stage.role(stage.keeps)
    flags = Flags([role.module])
    try:
        # The head is run once more by itself: in train mode it would move what it has of buffers.
        set_eval(role.module)
        with suppress(ModelError, WiringError), torch.no_grad():
            known = shown(stage, role, data.train(0).sample())
            seen = {**known, **listen(role, [EMBEDDING], known)}
            embedding = seen[_read(stage)]
            if embedding.ndim == 2 and head_problem(role, seen) is None:
                return embedding.shape[1]
    finally:
        flags.restore()
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
