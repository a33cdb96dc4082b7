"""What is said of a teacher before anybody learns from it: in the same words by check and run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.records.metric import Metric
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.teacher_forms import Form, best_order, permuted, probabilities

GAIN = 0.1
"""Of accuracy: what another form or order must promise to be told of."""
CHANCE_FACTOR = 2.0
"""A teacher under so many times what guessing gives deserves a warning."""
HARDLY = 0.2
"""Of the way from guessing to perfect; where guessing gives much, that is less than the above."""


@dataclass(frozen=True)
class TeacherCheck:
    """What was found; `check` and `run` say it in the same words.

    Args:
        line: how good it is; "" where nobody knows.
        cautions: what may make the numbers worthless.
        notes: what was not looked at.
    """

    line: str = ""
    cautions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> dict[str, str]:
        """What a run writes down of it."""
        said = [*self.cautions, *self.notes]
        return {"check": "; ".join(said)} if said else {}

    def told_before(self, told: set[str]) -> "TeacherCheck":
        """Without what others have told; the rest is added to it."""

        def fresh(texts: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(text for text in texts if text not in told)

        (line,) = fresh((self.line,)) or ("",)
        rest = TeacherCheck(line, fresh(self.cautions), fresh(self.notes))
        told.update((self.line, *self.cautions, *self.notes))
        return rest

    def tell(self, job: Job) -> None:
        """Say it to who watches."""
        for note in filter(None, (self.line, *self.notes)):
            job.watcher.say(note)
        for caution in self.cautions:
            job.watcher.warn(caution)


NOTHING_FOUND = TeacherCheck()


def output_caution(role: str, logits: Tensor) -> str | None:
    """What to say of a network whose outputs are probabilities; None where they are logits."""
    what = probabilities(logits)
    if what is None:
        return None
    if what == "probabilities":
        return (
            f"the {role}'s outputs are probabilities (each row sums to 1): a temperature divides "
            "logits, so distillation on them is not what its papers describe; leave out the softmax"
        )
    if what == "shares":
        return (
            f"the {role}'s outputs all lie between 0 and 1 (a sigmoid?): a softmax of them is "
            "nearly even, whatever the classes; leave out what squeezes the logits"
        )
    return (
        f"the {role}'s outputs are logarithms of probabilities (their exponentials sum to 1): "
        "losses on softmax are the same, losses on raw logits are not; leave out the log_softmax"
    )


STEADY = 1e-2
"""By how much logits may differ between two passes, as a share of the largest: bf16 rounds less."""


def unsteady_caution(first: Tensor, again: Tensor, alone: Tensor) -> str | None:
    """What to say of a teacher whose answer to an image is not one; None where it is.

    Args:
        first, again: logits of the same batch, [B, C].
        alone: those of its first rows when these are shown without the rest, [b, C]; a batch norm
            without running statistics needs two.
    """
    room = STEADY * float(first.nan_to_num(0.0, 0.0, 0.0).abs().max())

    def differ(one: Tensor, other: Tensor) -> bool:
        gap = torch.where(one == other, 0.0, one - other).nan_to_num(0.0)
        return bool((gap.abs() > room).any())

    if differ(first, again):
        return (
            "the teacher gives other outputs when it sees the same images again, in eval mode, "
            "too: what is drawn in its forward needs self.training (F.dropout(x, p, "
            "self.training)); as it is, a cached teacher and a live one teach different things"
        )
    if differ(first[: len(alone)], alone):
        return (
            "the teacher's outputs for an image depend on the other images of its batch, in eval "
            "mode, too (a batch norm without running statistics, a mean over the batch): a cached "
            "teacher and a live one teach different things; let each image stand for itself"
        )
    return None


def guessing_caution(job: Job, share: float) -> str | None:
    """What to say of a teacher that is hardly better than guessing."""
    task, classes = job.task, job.data.classes
    guessing = task.guessing(classes)
    if guessing is None or task.metric.gain(share, guessing) >= hardly_better(
        guessing, task.metric
    ):
        return None
    may = "its class order, its normalisation" if task.measured == "logits" else "its normalisation"
    return (
        f"the teacher is hardly better than {task.guessed(classes)}: {may} or its training may be "
        "wrong"
    )


def hardly_better(guessing: float, metric: Metric) -> float:
    """How much better than guessing a value is to be, of a metric between 0 and 1.

    >>> from stillhouse.records.metric import ACCURACY, Metric
    >>> hardly_better(0.1, ACCURACY), hardly_better(0.5, ACCURACY)
    (0.1, 0.1)
    """
    room = 1.0 - guessing if metric.higher_is_better else guessing
    return min((CHANCE_FACTOR - 1) * guessing, HARDLY * room)


def score_line(job: Job, value: float, on: str = "") -> str:
    """How good it is, in a line."""
    return f"teacher: validation {job.task.metric.name} {job.task.metric.with_unit(value)}{on}"


def form_sentences(
    job: Job, value: float, best: Form, logits: Tensor, label: Tensor, *, orders: bool
) -> list[str]:
    """What to say of a form, or an order of the classes, in which a teacher is better.

    Args:
        job: of the teacher.
        value: its accuracy as it is.
        best: the form in which it is best.
        logits, label: of some rows in that form.
        orders: whether an order can be told from so many rows.
    """
    metric, classes = job.task.metric, job.data.classes
    said, rows = [], len(label)
    plain = float((logits.argmax(1) == label).float().mean())
    in_another = permuted(logits, label, classes) if orders else 0.0
    by_form = best != Form() and max(plain, in_another) >= _worth_telling(value, rows)
    if by_form and plain >= _worth_telling(value, rows):
        said.append(
            f"with {best.words} the teacher would give {metric.with_unit(plain)}: say so, "
            f"{best.section}"
        )
    if in_another >= _worth_telling(max(plain, value), rows):
        order = best_order(logits, label, classes)
        also = f" and {best.words} ({best.section})" if by_form else ""
        said.append(
            f"a permutation of the teacher's outputs{also} would give "
            f"{metric.with_unit(in_another)}: its classes are in another order than the "
            f"data's; name them in its own, {_named(order, job.data.splits.classes)}"
        )
    return said


def _worth_telling(value: float, rows: int) -> float:
    """The accuracy from which another form is told of: no luck of so few rows.

    >>> round(_worth_telling(0.5, 1024), 2), round(_worth_telling(0.5, 32), 2)
    (0.6, 0.77)
    """
    return value + max(GAIN, 3 * math.sqrt(value * (1 - value) / rows))


def _named(order: Sequence[int], classes: Sequence[object]) -> str:
    """The recipe's words for an order of the outputs, by the data's names.

    >>> _named([1, 0], ["cat", "dog"])
    'teacher: {classes: [dog, cat]}'
    """
    if len(classes) > 20:
        return "teacher: {classes: [...]}"
    by_place = sorted(zip(order, classes, strict=True))
    return f"teacher: {{classes: [{', '.join(str(name) for _, name in by_place)}]}}"
