"""What is wrong with a given teacher, found on a few rows before anybody learns from it.

It costs little: at most `ROWS` rows, of them `TRIAL_ROWS` in every other form, within `SECONDS`.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from stillhouse.bridges import InputAdapter
from stillhouse.data.batches import Batches
from stillhouse.data.tables import FloatTable
from stillhouse.data.views import PLAIN_VIEW
from stillhouse.engine.flags import Flags
from stillhouse.engine.signals import LOGITS
from stillhouse.engine.task import Classification
from stillhouse.models.given import set_eval
from stillhouse.models.outputs import named_outputs
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.networks import behind, make_input
from stillhouse.runs.job.teacher import Teacher
from stillhouse.runs.training.teacher_forms import (
    Form,
    best_form,
    best_order,
    permuted,
    probabilities,
)

ROWS, TRIAL_ROWS, BATCH = 1024, 256, 64
BYTES = 2**28
"""Of images that are held at once, for the other forms."""
SECONDS = 10.0
"""What scoring may take, and as much again what the other forms may."""
LEAST_ROWS = 32
GOOD = 0.9
"""A teacher of this accuracy is not asked whether it would be better in another form."""
GAIN = 0.1
"""Of accuracy: what another form or order must promise to be told of."""
PER_CLASS = 8
"""Rows of each class from which an order of the classes can be told."""
CHANCE_FACTOR = 2.0
"""A teacher under so many times what guessing gives deserves a warning."""


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
    return (
        f"the {role}'s outputs are logarithms of probabilities (their exponentials sum to 1): "
        "losses on softmax are the same, losses on raw logits are not; leave out the log_softmax"
    )


def guessing_caution(job: Job, share: float) -> str | None:
    """What to say of a teacher that is hardly better than guessing."""
    guessing = job.task.guessing(job.data.classes)
    if guessing is None or share >= CHANCE_FACTOR * guessing:
        return None
    return (
        f"the teacher is hardly better than guessing among {job.data.classes} classes: its "
        "class order, its normalisation or its training may be wrong"
    )


def score_line(job: Job, value: float, on: str = "") -> str:
    """How good it is, in a line."""
    return f"teacher: validation {job.task.metric.name} {job.task.metric.with_unit(value)}{on}"


def check_given(job: Job, teacher: Teacher, module: nn.Module) -> TeacherCheck:
    """Look at a teacher that comes trained, on validation rows (of training, where there are none).

    Only classifications are looked at: what else a teacher may get wrong differs by task.
    """
    if not isinstance(job.task, Classification):
        return TeacherCheck()
    home = next((p.device for p in module.parameters()), torch.device("cpu"))
    flags = Flags([module])
    try:
        set_eval(module.to(job.data.platform.device))
        return _Examination(job, teacher, module).found()
    finally:
        module.to(home)
        flags.restore()


class _Examination:
    """One teacher on a few rows."""

    def __init__(self, job: Job, teacher: Teacher, module: nn.Module) -> None:
        self.job, self.teacher, self.module = job, teacher, module
        held_out = job.data.validation
        # Read in this process: few rows are not worth starting loaders.
        self.table: Batches = replace(held_out or job.data.train(0), workers=0)
        self.on = "" if held_out else " (on training rows: there is no validation)"
        self.spent = self.seconds = 0.0

    def found(self) -> TeacherCheck:
        image, _ = self._held(8)
        self._logits(image)  # the first pass sets things up
        began = time.perf_counter()
        image, _ = self._held(8)
        loaded = time.perf_counter()
        self._logits(image)
        self.seconds = (time.perf_counter() - loaded) / len(image)
        seconds = (time.perf_counter() - began) / len(image)
        rows = min(ROWS, self.table.rows, int(SECONDS / max(seconds, 1e-9)))
        if rows < min(LEAST_ROWS, self.table.rows):
            said = f"the teacher takes {seconds:.1f} s for an image here, so it was not scored"
            return TeacherCheck(notes=(f"{said} beforehand",))
        parts = [(self._logits(image), label) for image, label in self._rows(rows)]
        logits, label = (torch.cat(column) for column in zip(*parts, strict=True))
        value = float((logits.argmax(1) == label).float().mean())
        part = f" on {rows:,} of {self.table.rows:,} rows" if rows < self.table.rows else ""
        cautions = [guessing_caution(self.job, value)]
        more: list[str] = []
        notes: list[str] = []
        if not self.teacher.members:  # an ensemble answers with logarithms; its members have forms
            cautions.append(output_caution("teacher", logits))
            if value < GOOD:
                more, notes = self._other_forms(value)
        told = (*filter(None, cautions), *more)
        return TeacherCheck(score_line(self.job, value, part + self.on), told, tuple(notes))

    def _rows(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """So many rows in batches, evenly over the table, which may lie in order of classes."""
        rows = torch.linspace(0, self.table.rows - 1, min(count, self.table.rows)).long()
        for each in rows.split(BATCH):
            shown = self.table.show(each, PLAIN_VIEW)
            yield shown["batch.image"], shown["batch.label"].cpu()

    def _held(self, count: int) -> tuple[Tensor, Tensor]:
        """The same, all at once."""
        images, labels = zip(*self._rows(count), strict=True)
        return torch.cat(images), torch.cat(labels)

    def _logits(self, image: Tensor, form: Form | None = None) -> Tensor:
        reads = behind(self._adapter(form or Form()), self.module)
        set_eval(reads.to(image.device))
        with torch.inference_mode():
            parts = [named_outputs(reads(each))[LOGITS] for each in image.split(BATCH)]
        return torch.cat(parts).float().cpu()

    def _adapter(self, form: Form) -> InputAdapter | None:
        """The teacher's own form of the image, changed."""
        own = make_input(self.teacher.section, self.job.data)
        if form == Form():
            return own
        augment = self.job.data.augment
        mean, std = augment.mean, augment.std
        to_mean, to_std = form.mean, form.std
        if to_mean is None or to_std is None:
            to_mean, to_std = (mean, std) if own is None else (
                tuple(own.to_mean.flatten().tolist()), tuple(own.to_std.flatten().tolist())
            )  # fmt: skip
            if form.bgr:
                to_mean, to_std = to_mean[::-1], to_std[::-1]
        elif form.bgr:
            to_mean, to_std = to_mean[::-1], to_std[::-1]
        return InputAdapter(
            mean,
            std,
            to_mean=to_mean,
            to_std=to_std,
            size=form.size or (own.size if own else None),
            channels=own.channels if own else None,
            bgr=form.bgr != (own is not None and own.bgr),
        )

    def _other_forms(self, value: float) -> tuple[list[str], list[str]]:
        """What the teacher would be worth in another form, or with its outputs in another order."""
        classes = self.job.data.classes
        held = BYTES // (4 * math.prod(self.job.data.image_shape))
        count = min(max(TRIAL_ROWS, PER_CLASS * classes), ROWS, held)
        image, label = self._held(count)
        skipped = 0
        orders = len(label) >= PER_CLASS * classes

        def score(form: Form) -> float | None:
            nonlocal skipped
            if self.spent > SECONDS:
                skipped += 1
                return None
            began = time.perf_counter()
            try:
                logits = self._logits(image, form)
            except Exception:  # a size that it does not take
                return None
            finally:
                self.spent += time.perf_counter() - began
            plain = float((logits.argmax(1) == label).float().mean())
            usable = orders and logits.shape[1] == classes
            return max(plain, permuted(logits, label, classes)) if usable else plain

        own = make_input(self.teacher.section, self.job.data)
        shown = image[:1] if own is None else own.to(image.device)(image[:1])
        best, _ = best_form(score, shown.shape[1], shown.shape[-1], pixels=self._pixels)
        notes = []
        if skipped:
            notes.append(
                f"{skipped} other forms of the teacher's image were not tried: it takes "
                f"{self.seconds:.2g} s for an image here"
            )
        return self._sentences(value, best, self._logits(image, best), label, orders), notes

    @property
    def _pixels(self) -> bool:
        """Whether the data's mean and std lead from its images back to pixels in 0..1."""
        data = self.job.data
        return data.transform is None and not isinstance(data.splits.train, FloatTable)

    def _sentences(
        self, value: float, best: Form, logits: Tensor, label: Tensor, orders: bool
    ) -> list[str]:
        metric, classes = self.job.task.metric, self.job.data.classes
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
                f"data's; name them in its own, {_named(order, self.job.data.splits.classes)}"
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
