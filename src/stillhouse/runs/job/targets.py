"""The labels of held-out images where nobody knows any: what the teacher's embedding of each is."""

import math
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.data.tables import Table
from stillhouse.engine.flags import Flags
from stillhouse.engine.listen import listen
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError
from stillhouse.models.given import set_eval
from stillhouse.pairing.paired import shown
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.teacher import Teacher


def judged_by_teacher(data: JobData, teacher: Teacher | None) -> JobData:
    """The data of a task without labels with what its networks are judged by; others as they are.

    Raises:
        RecipeError: there is no teacher, it would have to be trained first, or it asks for classes.
    """
    if data.task.labelled:
        return data
    said = f"the task '{data.task.name}' has no labels: what is right is what the teacher says"
    if teacher is None:
        raise RecipeError("teacher", [f"{said}; give one that is trained: a name with ':pretrained'"
                                      ", or {model: NAME, weights: FILE}"])  # fmt: skip
    name = data.task.name
    for each in teacher.family:
        if not each.given:
            asked = f"'{each.section.model}' would have to learn from labels"
            raise RecipeError(each.role, [f"{said}, and {asked}; give its weights: {{model: "
                                          f"{each.section.model}, weights: FILE}}"])  # fmt: skip
        of_classes = [key for key in ("centres", "classes") if getattr(each.section, key)]
        if of_classes:
            about = f"{of_classes[0]} is about the classes of the data, and the task '{name}'"
            raise RecipeError(each.role, [f"{about} has none; leave it out"])
    return replace(data, targets=TeacherTargets(teacher))


@dataclass(frozen=True)
class TeacherTargets:
    """Gives the teacher's embedding of every row of a table; of one table once.

    Every process computes all rows for itself, in float32 whatever the run's precision is, so that
    nothing waits for anybody and all judge by the same numbers.
    """

    teacher: Teacher
    _known: dict[int, tuple[Table, Tensor]] = field(default_factory=dict, repr=False)

    def __call__(self, batches: Batches) -> Tensor:
        """The embedding of each row, float32 [rows, width], on the CPU.

        Of several teachers those of each, [rows, teachers, width of the widest], nan behind the
        narrower ones.
        """
        key = id(batches.table)
        if key not in self._known:
            self._known[key] = (batches.table, self._embeddings(batches))
        return self._known[key][1]

    def _embeddings(self, batches: Batches) -> Tensor:
        found = [_of(each, batches) for each in self.teacher.leaves]
        if len(found) == 1:
            return found[0]
        widest = max(each.shape[1] for each in found)
        return torch.stack(
            [F.pad(each, (0, widest - each.shape[1]), value=math.nan) for each in found], 1
        )


def _of(teacher: Teacher, batches: Batches) -> Tensor:
    found = embeddings(teacher.alone(teacher.make(0)), batches)
    if found.ndim == 2 and bool(found.isfinite().all()):
        return found
    said = f"its embedding is {list(found.shape)}; wanted is [rows, width]"
    if found.ndim == 2:
        bad = int((~found.isfinite()).any(1).nonzero()[0, 0])
        said = f"its embedding of image {bad} holds nan or inf"
    raise RecipeError(teacher.role, [f"{said}, of finite numbers: networks are measured by it"])


def embeddings(stage: Stage, batches: Batches) -> Tensor:
    """The embedding that the kept role of a stage has of every row, [rows, ...], on the CPU.

    In float32, in eval mode, whatever the run's precision is; each process reads all rows.
    """
    role = stage.role(stage.keeps)
    for module in stage.modules():
        module.to(batches.device)
    flags, found = Flags(stage.modules()), []
    try:
        for module in stage.modules():
            set_eval(module)
        for batch in replace(batches, rank=0, world=1).once():
            with torch.no_grad():
                seen = listen(role, [EMBEDDING], shown(stage, role, batch))
            found.append(seen[f"{role.name}.{EMBEDDING}"].float().cpu())
    finally:
        flags.restore()
    return torch.cat(found)
