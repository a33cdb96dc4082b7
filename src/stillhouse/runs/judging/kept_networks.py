"""The networks of a finished run, built again and filled with what was kept; nothing is trained."""

from dataclasses import replace

from torch import nn

from stillhouse.errors import RunError
from stillhouse.models.given import set_eval
from stillhouse.recipes.derive import DerivedSection
from stillhouse.records.stage import STAGE, StageRecord
from stillhouse.records.tensors import load_state
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.stage_run import LAST, product_file
from stillhouse.runs.training.teachers import Teachers
from stillhouse.runs.training.training import control_training, student_directory

AGAIN = "the call that made the run trains it again, in another directory"


def kept_network(job: Job, role: str) -> nn.Module | None:
    """The student, control or teacher of the first seed of a finished run, in eval mode.

    Args:
        job: of the run.
        role: whose.

    Returns:
        None where the run has no such network.

    Raises:
        RunError: it was deleted since, or cannot be told from the files of the run.
    """
    if role == "student":
        return kept_student(job)
    if role == "teacher":
        return _kept_teacher(job)
    return _kept_control(job)


def kept_student(job: Job) -> nn.Module:
    """The student of the first seed of a finished run, in eval mode."""
    seed, network = job.recipe.seeds[0], job.student
    if isinstance(job.recipe.student, DerivedSection):
        network = network.out_of(_kept_teacher(job))
    directory, module = student_directory(job, seed), network.make(seed)
    keeps = StageRecord.read(directory / STAGE).keeps
    module.load_state_dict(load_state(product_file(directory, keeps, LAST)))
    set_eval(module)
    return module


def _kept_teacher(job: Job) -> nn.Module | None:
    found = Teachers(job, kept=True).trained(job.recipe.seeds[0])
    if found is None:
        return None
    set_eval(found.module)
    return found.module


def _kept_control(job: Job) -> nn.Module | None:
    seed = job.recipe.seeds[0]
    if not job.recipe.control:
        return None
    if job.recipe.transfer is not None and job.task.labelled:
        raise RunError(
            f"the control of {job.out} learnt on a transfer set, by which it is filed; it is at "
            "hand only where the run was made, in the same process"
        )
    if isinstance(job.recipe.student, DerivedSection):
        job = replace(job, student=job.student.out_of(_kept_teacher(job)))
    if not job.task.labelled:  # the student as it starts
        module = job.student.make(seed)
        set_eval(module)
        return module
    training = control_training(job, seed)
    if not (training.directory / STAGE).is_file():
        raise RunError(f"the control was kept in {training.directory}, and is gone; {AGAIN}")
    module = job.student.make(seed)
    keeps = StageRecord.read(training.directory / STAGE).keeps
    module.load_state_dict(load_state(product_file(training.directory, keeps, LAST)))
    set_eval(module)
    return module
