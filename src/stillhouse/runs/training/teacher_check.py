"""What is wrong with a given teacher, found on a few rows before anybody learns from it.

It costs little: at most `ROWS` rows, of them `TRIAL_ROWS` in every other form, within `SECONDS`.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from stillhouse.bridges import InputAdapter
from stillhouse.data.batches import Batches
from stillhouse.data.tables import FloatTable
from stillhouse.data.views import PLAIN_VIEW
from stillhouse.engine.flags import Flags
from stillhouse.engine.signals import LOGITS
from stillhouse.models.calling import run_on
from stillhouse.models.given import set_eval
from stillhouse.models.outputs import named_outputs
from stillhouse.runs.job.inputs import behind, make_input
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.teacher import Teacher
from stillhouse.runs.training.teacher_findings import (
    TeacherCheck,
    form_sentences,
    guessing_caution,
    output_caution,
    score_line,
    unsteady_caution,
)
from stillhouse.runs.training.teacher_forms import Form, best_form, permuted
from stillhouse.tasks import Classification

ROWS, TRIAL_ROWS, BATCH, FEW = 1024, 256, 64, 8
Given = Mapping[str, Tensor]
"""Rows as the teacher reads them, by what its forward calls each."""
BYTES = 2**28
"""Of images that are held at once, for the other forms."""
SECONDS = 10.0
"""What scoring may take, and as much again what the other forms may."""
LEAST_ROWS = 32
GOOD = 0.9
"""A teacher of this accuracy is not asked whether it would be better in another form."""
PER_CLASS = 8
"""Rows of each class from which an order of the classes can be told."""


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


def check_outputs(job: Job, teacher: Teacher, module: nn.Module) -> str | None:
    """What to say of the outputs of a teacher that was trained here; None where they are logits."""
    if not isinstance(job.task, Classification) or teacher.members:
        return None
    home = next((p.device for p in module.parameters()), torch.device("cpu"))
    flags = Flags([module])
    try:
        module.to(job.data.platform.device).eval()
        return output_caution(teacher.role, _Examination(job, teacher, module).few_logits())
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

    def few_logits(self) -> Tensor:
        """Its outputs for a few rows."""
        return self._logits(self._held(FEW)[0])

    def found(self) -> TeacherCheck:
        before = self.few_logits()  # the first pass sets things up
        began = time.perf_counter()
        given, _ = self._held(FEW)
        loaded = time.perf_counter()
        few = self._logits(given)
        self.seconds = (time.perf_counter() - loaded) / len(few)
        seconds = (time.perf_counter() - began) / len(few)
        rows = min(ROWS, self.table.rows, int(SECONDS / max(seconds, 1e-9)))
        if rows < min(LEAST_ROWS, self.table.rows):
            said = f"the teacher takes {seconds:.1f} s for a row here, so it was not scored"
            return TeacherCheck(notes=(f"{said} beforehand",))
        parts = [(self._logits(given), label) for given, label in self._rows(rows)]
        logits, label = (torch.cat(column) for column in zip(*parts, strict=True))
        value = float((logits.argmax(1) == label).float().mean())
        part = f" on {rows:,} of {self.table.rows:,} rows" if rows < self.table.rows else ""
        unsteady = unsteady_caution(
            before, few, self._logits({name: x[:2] for name, x in given.items()})
        )
        cautions = [guessing_caution(self.job, value), unsteady]
        more: list[str] = []
        notes: list[str] = []
        if not self.teacher.members:  # an ensemble answers with logarithms; its members have forms
            cautions.append(output_caution("teacher", logits))
            if value < GOOD and self.job.data.of_images:
                more, notes = self._other_forms(value)
        told = (*filter(None, cautions), *more)
        return TeacherCheck(score_line(self.job, value, part + self.on), told, tuple(notes))

    def _rows(self, count: int) -> Iterator[tuple[Given, Tensor]]:
        """So many rows in batches, evenly over the table, which may lie in order of classes."""
        rows = torch.linspace(0, self.table.rows - 1, min(count, self.table.rows)).long()
        for each in rows.split(BATCH):
            shown = self.table.show(each, PLAIN_VIEW)
            yield self.job.data.inputs(shown, "teacher"), shown["batch.label"].cpu()

    def _held(self, count: int) -> tuple[Given, Tensor]:
        """The same, all at once."""
        given, labels = zip(*self._rows(count), strict=True)
        return {n: torch.cat([each[n] for each in given]) for n in given[0]}, torch.cat(labels)

    def _logits(self, given: Given, form: Form | None = None) -> Tensor:
        reads = behind(self._adapter(form or Form()), self.module)
        first = next(iter(given.values()))
        set_eval(reads.to(first.device))
        starts = range(0, len(first), BATCH)
        cut = [{n: x[at : at + BATCH].clone() for n, x in given.items()} for at in starts]
        with torch.inference_mode():
            parts = [named_outputs(run_on(reads, each))[LOGITS] for each in cut]
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
            pad=own.pad if own else None,
        )

    def _other_forms(self, value: float) -> tuple[list[str], list[str]]:
        """What the teacher would be worth in another form, or with its outputs in another order."""
        classes = self.job.data.classes
        held = BYTES // (4 * math.prod(self.job.data.image_shape))
        count = min(max(TRIAL_ROWS, PER_CLASS * classes), ROWS, held)
        given, label = self._held(count)
        (image,) = given.values()
        skipped = 0
        orders = len(label) >= PER_CLASS * classes

        def score(form: Form) -> float | None:
            nonlocal skipped
            if self.spent > SECONDS:
                skipped += 1
                return None
            began = time.perf_counter()
            try:
                logits = self._logits(given, form)
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
        return form_sentences(
            self.job, value, best, self._logits(given, best), label, orders=orders
        ), notes

    @property
    def _pixels(self) -> bool:
        """Whether the data's mean and std lead from its images back to pixels in 0..1."""
        data = self.job.data
        return data.transform is None and not isinstance(data.splits.train, FloatTable)
