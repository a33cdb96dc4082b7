"""Students of a run that share their teacher and their data, trained together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from stillhouse.runs.job.heads import check_kept
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.likeness import Likeness, likeness_to
from stillhouse.runs.training.serving import Source, serve
from stillhouse.runs.training.stage_run import LAST, StageRun, train
from stillhouse.runs.training.teachers import TrainedTeacher
from stillhouse.runs.training.training import control_training, student_training
from stillhouse.runs.training.transfer import TransferSet, make_transfer_set


@dataclass(frozen=True)
class Lessons:
    """What students that share teacher and data learn from, before any of them is trained.

    Args:
        job: as they see it: on a transfer set, if there is one, and with their start.
        teacher: theirs.
        transfer: the set that they learn on instead of the data.
        source: where they get the teacher's signals from; None where the method reads none.
        likeness: what of the teacher they are compared with.
    """

    job: Job
    teacher: TrainedTeacher | None
    transfer: TransferSet | None
    source: Source | None
    likeness: Likeness | None

    def control(self, seed: int) -> StageRun:
        """Train the control of a seed."""
        return train(control_training(self.job, seed))

    def student(self, seed: int) -> StageRun:
        """Train the student of a seed."""
        job, teacher = self.job, self.teacher
        student = student_training(job, seed, None if teacher is None else teacher.module)
        if self.likeness is not None and self.transfer is None:  # whose students see a real image
            student = student.changed(self.likeness.with_diagnostics)
        run = train(student if self.source is None else self.source.teach(student))
        if job.recipe.student.head == "shared" and teacher is not None:
            section, theirs = job.student.section, teacher.teacher.section
            check_kept(run.module(LAST), section, teacher.module, theirs)
        return run


@dataclass(frozen=True)
class Group:
    """Students that share teacher and data, as they were trained.

    Args:
        lessons: what they learnt from.
        runs: controls and students.
    """

    lessons: Lessons
    runs: Sequence[StageRun]


def has_control(job: Job) -> bool:
    """Whether a student is compared with itself trained alone."""
    return job.recipe.control and job.task.labelled


def train_group(job: Job, teacher: TrainedTeacher | None, seeds: tuple[int, ...]) -> Group:
    """Train the controls and students of some seeds, by one teacher, on one set of data."""
    lessons = lessons_of(job, teacher, seeds)
    runs = []
    for seed in seeds:
        if has_control(job):
            runs.append(lessons.control(seed))
        runs.append(lessons.student(seed))
    return Group(lessons, runs)


def lessons_of(job: Job, teacher: TrainedTeacher | None, seeds: tuple[int, ...]) -> Lessons:
    """What the students of these seeds learn from: a transfer set is made, a cache recorded."""
    if teacher is None:
        return Lessons(job, None, None, None, None)
    likeness = likeness_to(teacher.opens, job.data)
    job, transfer = as_taught(job, teacher.module, seeds)
    source = serve(job, teacher.module, seeds) if job.method.needs_teacher else None
    return Lessons(job, teacher, transfer, source, likeness)


def as_taught(
    job: Job, teacher: nn.Module, seeds: tuple[int, ...]
) -> tuple[Job, TransferSet | None]:
    """The job as the students of this teacher see it, and the set that they learn on, if any."""
    job = replace(job, student=job.student.out_of(teacher))
    job.student.check_smaller(trained=True)
    if job.recipe.transfer is None:
        return job, None
    transfer = make_transfer_set(job, teacher, seeds[0])
    return replace(job, data=transfer.data), transfer
