"""Trains the teachers of a job, and whoever they come from, each once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from stillhouse.engine.objective import Objective
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.errors import RunError
from stillhouse.recipes.networks import each_student_its_own
from stillhouse.records.stage import STAGE
from stillhouse.runs.job.heads import check_kept, head_fingerprint, take_head
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.teacher import Teacher
from stillhouse.runs.training.centres import give_centres
from stillhouse.runs.training.scales import give_scales
from stillhouse.runs.training.stage_run import LAST, StageRun, scores_on, train
from stillhouse.runs.training.teacher_check import check_given, check_outputs
from stillhouse.runs.training.teacher_findings import (
    NOTHING_FOUND,
    TeacherCheck,
    guessing_caution,
    score_line,
)
from stillhouse.runs.training.training import Training, shared_directory

DryRun = Callable[[Stage, int, Teacher], None]
"""Tries a stage of a seed, by which a teacher is trained, without training it."""


@dataclass(frozen=True)
class TrainedTeacher:
    """A teacher that is ready to be learnt from.

    Args:
        teacher: how it was made.
        seed: its own.
        module: in eval mode, with its weights of the last epoch.
        run: its training; None when it came trained, or is an ensemble.
        check: what was found of it before anybody learnt from it; of the student's own teacher.
    """

    teacher: Teacher
    seed: int
    module: nn.Module
    run: StageRun | None = None
    check: TeacherCheck = NOTHING_FOUND

    @property
    def opens(self) -> Stage | Objective:
        """What is opened to look at it by itself; a method may measure more of its stage."""
        if self.run is None or self.teacher.section.method is not None:
            return self.teacher.alone(self.module)
        return self.run.opens


class Teachers:
    """The teachers of a job, each trained when a student first asks for it.

    Args:
        job: whose.
        dry_run: tries their stages, where nothing is to be trained.
        kept: take those that were trained before, and train and check none.
    """

    def __init__(self, job: Job, *, dry_run: DryRun | None = None, kept: bool = False) -> None:
        self._job = job
        self._dry_run = dry_run
        self._kept = kept
        self._known: dict[tuple[int, int], TrainedTeacher] = {}

    def trained(self, student_seed: int) -> TrainedTeacher | None:
        """The teacher of the student of this seed: given, found or trained; told of once."""
        if self._job.teacher is None:
            return None
        known = len(self._known)
        found = self._of(self._job.teacher, student_seed)
        if len(self._known) > known and self._dry_run is None and not self._kept:
            checked = replace(found, check=checked_teacher(self._job, found))
            self._known = {
                key: checked if each is found else each for key, each in self._known.items()
            }
            checked.check.tell(self._job)
            return checked
        return found

    def all(self) -> list[TrainedTeacher]:
        """Those that were asked for so far: the teacher's first, each kind in order of students."""
        roles = [each.role for each in self._job.teachers]
        return sorted(self._known.values(), key=lambda one: roles.index(one.teacher.role))

    def _of(self, teacher: Teacher, student_seed: int) -> TrainedTeacher:
        own = teacher.seed_for(student_seed)
        # Whom it comes from may differ by student although its own seed does not.
        key = (id(teacher), student_seed if each_student_its_own(teacher.section) else own)
        if key not in self._known:
            if teacher.members:
                modules = [self._of(each, student_seed).module for each in teacher.members]
                together = teacher.together(modules)
                if self._dry_run is None:
                    give_scales(self._job, teacher, together)
                made = TrainedTeacher(teacher, own, together)
            else:
                head = None if teacher.head is None else self._of(teacher.head, student_seed)
                before = (
                    None if teacher.teacher is None else self._of(teacher.teacher, student_seed)
                )
                made = self._train(teacher, student_seed, head, before)
            self._known[key] = made
        return self._known[key]

    def _train(
        self,
        teacher: Teacher,
        student_seed: int,
        head: TrainedTeacher | None,
        before: TrainedTeacher | None,
    ) -> TrainedTeacher:
        seed, module = teacher.seed_for(student_seed), teacher.make(student_seed)
        if teacher.given and self._dry_run is None:
            give_centres(self._job, teacher, module)
            return TrainedTeacher(teacher, seed, module)
        if teacher.given and self._dry_run is not None:
            self._dry_run(teacher.alone(module), seed, teacher)
            return TrainedTeacher(teacher, seed, module)
        stage, more = teacher_stage(teacher, module, head, before)
        if self._dry_run is not None:
            self._dry_run(stage, seed, teacher)
            return TrainedTeacher(teacher, seed, module)
        training = teacher_training(self._job, teacher, seed, stage, module, more)
        if self._kept and not (training.directory / STAGE).is_file():
            said = f"the {teacher.role} was kept in {training.directory}, and is gone"
            raise RunError(f"{said}; the call that made the run trains it again, elsewhere")
        run = train(training)
        module = run.module(LAST)
        if head is not None:
            check_kept(module, teacher.section, head.module, head.teacher.section)
        return TrainedTeacher(teacher, seed, module, run)


def teacher_stage(
    teacher: Teacher,
    module: nn.Module,
    head: TrainedTeacher | None = None,
    before: TrainedTeacher | None = None,
) -> tuple[Stage, dict[str, Any]]:
    """The stage of a teacher, and what the fingerprint of its training must know.

    Args:
        teacher: who learns.
        module: its network, which takes over the classifier.
        head: whose classifier it takes over.
        before: whom it learns from.
    """
    more: dict[str, Any] = teacher.input_settings()
    stage = teacher.stage(module, None if before is None else before.module)
    if head is not None:
        path = take_head(module, teacher.section, head.module, head.teacher.section)
        stage = stage.freeze("student", [path])
        more["head"] = head_fingerprint(head.module, head.teacher.section)
    if teacher.section.method is not None:
        more["method"] = teacher.section.method.model_dump()
    if before is not None:
        more["teacher"] = before.teacher.identity(before.module)
        more["teacher's input"] = before.teacher.input_settings()
    return stage, more


def teacher_training(
    job: Job, teacher: Teacher, seed: int, stage: Stage, module: nn.Module, more: Mapping[str, Any]
) -> Training:
    """The training of a teacher under its fingerprint.

    Args:
        job: of the students.
        teacher: who learns.
        seed: its own.
        stage, module, more: see `teacher_stage`; the module as it starts.
    """
    job = replace(job, data=teacher.trained_on(job.data))
    settings = _settings(job, teacher, seed)
    identity = job.identity("teacher", settings, teacher.network, module, **more)
    directory = shared_directory(job, teacher.role, teacher.network, seed, identity)
    return Training(job, teacher.role, settings, directory, identity, lambda: stage)


def _settings(job: Job, teacher: Teacher, seed: int) -> Settings:
    # 'compile: auto' asks what is best for the student.
    recipe, until = job.recipe, teacher.section.until
    wanted = False if recipe.compile == "auto" else recipe.compile
    settings = job.settings(seed, teacher.section.epochs, compile=wanted)
    settings = replace(settings, patience=teacher.section.patience)
    if until is None:
        return settings
    return replace(settings, until_epoch=until.epoch, until_metric=until.value)


def given_score(job: Job, trained: TrainedTeacher) -> float | None:
    """The task's metric on validation of a teacher that was not trained here; None without."""
    rows = job.data.validation
    if rows is None:
        return None
    stage, weights = trained.teacher.alone(trained.module), trained.module.state_dict()
    settings = job.settings(job.recipe.seeds[0])
    (found,) = scores_on(stage, settings, job.data, rows, [{"student": weights}])
    return found.metric["student"]


def checked_teacher(job: Job, trained: TrainedTeacher) -> TeacherCheck:
    """What there is to say of a teacher before anybody learns from it, good or bad."""
    run = trained.run
    if run is None:
        return check_given(job, trained.teacher, trained.module)
    share = run.validation(LAST)
    wanted_poor = share is None or trained.teacher.section.until is not None
    cautions = [
        None if share is None or wanted_poor else guessing_caution(job, share),
        check_outputs(job, trained.teacher, trained.module),
    ]
    line = "" if share is None else score_line(job, share)
    return TeacherCheck(line, tuple(filter(None, cautions)))
