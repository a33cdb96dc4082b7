"""A study in pieces that several processes may do, each when those that it needs are done.

A teacher, the control of a seed, the student of a seed, and at last each arm as a whole, which
finds its trainings finished and judges them. What a piece leaves is files under fingerprints, so
that the study is the same wherever its pieces were done; of two that want one training, one waits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from stillhouse.errors import NonFiniteLoss
from stillhouse.recipes.networks import each_student_its_own
from stillhouse.recipes.schema import resolved
from stillhouse.records.environment import environment
from stillhouse.records.stage import STAGE
from stillhouse.runs.directory import claimed
from stillhouse.runs.group import has_control, lessons_of
from stillhouse.runs.job.counter import STUDENT, StudentCounter
from stillhouse.runs.job.derived import DerivedNetwork
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.runs.judging.scoring import HeldOutScores
from stillhouse.runs.run import run
from stillhouse.runs.training.compiling import settle_compile
from stillhouse.runs.training.stage_run import train
from stillhouse.runs.training.teachers import Teachers
from stillhouse.runs.training.training import (
    control_key,
    control_training,
    student_directory,
    teacher_keys,
)
from stillhouse.runs.training.transfer import stand_in
from stillhouse.studies.directory import said_of_arm
from stillhouse.studies.table import DIVERGED, FINISHED

Kind = Literal["teacher", "control", "student", "arm"]
State = dict[str, str]


@dataclass(frozen=True)
class Piece:
    """What one process does of a study.

    Args:
        kind: what is trained, or 'arm': what is left of it, and its judgement.
        arm: whose; of what several share, the first's.
        seed: of the student; of an arm 0.
        needs: which pieces before it, by their place in the list.
    """

    kind: Kind
    arm: str
    seed: int = 0
    needs: tuple[int, ...] = ()

    def __str__(self) -> str:
        """What it is called.

        >>> str(Piece("student", "kd", 3)), str(Piece("arm", "kd"))
        ('student of kd, seed 3', 'arm kd')
        """
        return (
            f"arm {self.arm}"
            if self.kind == "arm"
            else f"{self.kind} of {self.arm}" + (f", seed {self.seed}")
        )


def pieces_of(jobs: Mapping[str, Job]) -> list[Piece]:
    """The pieces of these arms, each behind those that it needs; what arms share comes once.

    Students of an arm that chooses settings on validation first (``tune``) are trained by the arm.
    """
    found: list[Piece] = []
    shared: dict[object, int] = {}

    def once(key: object, piece: Piece) -> int:
        if key not in shared:
            shared[key] = len(found)
            found.append(piece)
        return shared[key]

    for name, job in jobs.items():
        needed: list[int] = []
        for seeds in job.groups:
            taught: list[int] = []
            keys = {key for teacher in job.teachers for key in teacher_keys(job, teacher)}
            if keys:
                own = any(each_student_its_own(teacher.section) for teacher in job.teachers)
                key = ("teacher", *sorted(keys), seeds[0] if own else None)
                taught = [once(key, Piece("teacher", name, seeds[0]))]
            needed += taught
            for seed in seeds:
                if has_control(job):
                    before = tuple(taught) if _starts_late(job) else ()
                    piece = Piece("control", name, seed, before)
                    needed.append(once(("control", control_key(job, seed)), piece))
                done = (student_directory(job, seed) / STAGE).is_file()
                if job.recipe.tune is None and not done:
                    needed.append(len(found))
                    found.append(Piece("student", name, seed, tuple(taught)))
        found.append(Piece("arm", name, needs=tuple(dict.fromkeys(needed))))
    return found


def claim_arms(jobs: Mapping[str, Job]) -> None:
    """Take the directories of arms before anything lies in them, as each run does when it begins.

    Raises:
        RunError: as of `stillhouse.runs.directory.claimed`.
    """
    for name, job in jobs.items():
        facts = resolved(job.recipe), environment(job.data.platform)
        with said_of_arm(name, job.out), claimed(job.out, *facts):
            pass


def _starts_late(job: Job) -> bool:
    """Whether a control needs the trained teacher: for its start, or for what it learns on."""
    return job.recipe.transfer is not None or isinstance(job.student, DerivedNetwork)


def do_piece(piece: Piece, job: Job, mark: str) -> State:
    """Do it, or find it done; gives its state, of an arm all that study.json says of it.

    A training that diverges is no error here: its arm comes to the same end and tells of it.

    Args:
        piece: what those that it needs have left is there.
        job: of its arm.
        mark: the fingerprint of the arm.
    """
    if piece.kind == "arm":
        return run_arm(piece.arm, job, mark, StudentCounter(SilentWatcher()), HeldOutScores())
    try:
        _train(piece, job)
    except NonFiniteLoss:
        return {"state": DIVERGED}
    return {"state": FINISHED}


def _train(piece: Piece, job: Job) -> None:
    seeds = next(each for each in job.groups if piece.seed in each)
    teachers = Teachers(job)
    if piece.kind == "teacher":
        teachers.trained(seeds[0])
        return
    job = replace(job, compiled=settle_compile(stand_in(job)))
    if piece.kind == "control" and not _starts_late(job):
        train(control_training(job, piece.seed))
        return
    lessons = lessons_of(job, teachers.trained(seeds[0]), seeds)
    trained: Callable[[int], object] = (
        lessons.control if piece.kind == "control" else lessons.student
    )
    trained(piece.seed)


def run_arm(
    name: str, job: Job, mark: str, counter: StudentCounter, held_out: HeldOutScores
) -> State:
    """Run one arm; of one that diverged, say which of its trainings did.

    Args:
        name, job: of the arm.
        mark: its fingerprint.
        counter: hears of its students.
        held_out: scores on the test set that other arms have as well.
    """
    try:
        with said_of_arm(name, job.out):
            run(replace(job, watcher=counter), held_out=held_out, foretold=True)
    except NonFiniteLoss as error:
        counter.warn(f"{counter.stage}: {error}")
        found = {"state": DIVERGED, "fingerprint": mark, "message": str(error)}
        return found if counter.stage == STUDENT else {**found, "stage": counter.stage}
    return {"state": FINISHED, "fingerprint": mark}
