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
class Group:
    """Students that share teacher and data, as they were trained.

    Args:
        job: as they see it: on a transfer set, if there is one, and with their start.
        teacher: theirs.
        transfer: the set that they learnt on instead of the data.
        source: where they got the teacher's signals from; None where the method reads none.
        likeness: what of the teacher they are compared with.
        runs: controls and students.
    """

    job: Job
    teacher: TrainedTeacher | None
    transfer: TransferSet | None
    source: Source | None
    likeness: Likeness | None
    runs: Sequence[StageRun]


def train_group(job: Job, teacher: TrainedTeacher | None, seeds: tuple[int, ...]) -> Group:
    """Train the controls and students of some seeds, by one teacher, on one set of data."""
    transfer = source = likeness = module = None
    if teacher is not None:
        module = teacher.module
        likeness = likeness_to(teacher.opens, job.data)
        job, transfer = as_taught(job, module, seeds)
        if job.method.needs_teacher:
            source = serve(job, module, seeds)
    runs = []
    for seed in seeds:
        if job.recipe.control and job.task.labelled:
            runs.append(train(control_training(job, seed)))
        student = student_training(job, seed, module)
        if likeness is not None and transfer is None:  # whose students see no real image
            student = student.changed(likeness.with_diagnostics)
        runs.append(train(student if source is None else source.teach(student)))
        if job.recipe.student.head == "shared" and teacher is not None:
            section, theirs = job.student.section, teacher.teacher.section
            check_kept(runs[-1].module(LAST), section, teacher.module, theirs)
    return Group(job, teacher, transfer, source, likeness, runs)


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
