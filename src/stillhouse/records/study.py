"""What a study and a search write: their arms and candidates, side by side."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from stillhouse.records.costs import NetworkCosts
from stillhouse.records.metric import TaskRecord
from stillhouse.records.run import DataRecord, SeedScores
from stillhouse.records.schema import Record, RecordFile
from stillhouse.records.verdict import WithRows

TABLE = "study.json"


class Comparison(Record):
    """A mean paired gain (positive: better), its interval and p alone, its p and word corrected.

    Args:
        p_holm: corrected over the comparisons of its family; None where it is not judged.
        p_equivalent: of the two one-sided tests for the margin, corrected; None without a margin.
        word: helps, hurts, no difference shown, equivalent within the margin, or too few seeds to
            tell.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    p_equivalent: float | None = None
    word: str
    seeds: int


class ArmTransfer(Record):
    """The transfer set of an arm: its method, its images, the seconds that they took."""

    method: str
    count: int
    seconds: float


class Arm(Record):
    """One arm.

    Args:
        at: its place on the study's axis.
        directory: of its run, from that of the study.
        fingerprint: of what decides its numbers.
        message: why it diverged.
        stage: the training that diverged, where it was not the student's.
        runs, controls, teacher: the trainings of its student, its control, its teacher.
        parameters: of its networks, by role.
        costs: of using its student; None where that was not measured.
        cautions: of networks of its run that did not learn all that they could.
        with_rows: of its gain, for other test rows as well; None where rows are not known.
        gain: over its control; over_against: over the arm that the others are compared with.
    """

    name: str
    settings: dict[str, Any]
    at: Any
    method: str
    teacher_model: str | None
    student_model: str
    epochs: int
    batch: int
    directory: str
    state: Literal["finished", "diverged", "waiting"]
    fingerprint: str = ""
    message: str = ""
    stage: str = ""
    runs: tuple[SeedScores, ...]
    controls: tuple[SeedScores, ...]
    teacher: tuple[SeedScores, ...]
    parameters: dict[str, int] = Field({})
    transfer: ArmTransfer | None = None
    costs: NetworkCosts | None = None
    cautions: tuple[str, ...] = ()
    with_rows: WithRows | None = None
    gain: Comparison | None
    over_against: Comparison | None


class StudyTable(RecordFile):
    """study.json.

    Args:
        task: of its arms.
        data: None until an arm is finished.
        axis: the setting, or 'teacher', that its arms are drawn over.
        against: the arm that the others are compared with.
        rivals: the arms that it was chosen among.
        claims: the arms whose comparisons are corrected by themselves; none: all are one family.
        margin: a difference that does not matter, in the metric's own unit, unscaled.
        swept: settings that were swept.
    """

    AGAIN: ClassVar[str] = "delete it, the arms are kept"
    task: TaskRecord
    title: str
    created: str
    seconds: float
    finished: bool
    data: DataRecord | None
    axis: str | None
    against: str | None
    rivals: tuple[str, ...]
    claims: tuple[str, ...] = ()
    margin: float | None = None
    swept: tuple[str, ...]
    arms: tuple[Arm, ...]


class Trial(Record):
    """A candidate of a search.

    Args:
        number: of the trial, from 0.
        outcome: trained, refused or diverged.
        validation: the metric on validation, last epoch; None where it was not trained to the end.
        why: what was said of a refused or diverged one.
    """

    number: int
    model: str
    outcome: str
    parameters: int
    milliseconds: float | None
    validation: float | None
    why: str


class SettledTrial(Record):
    """A trial of a search as it is kept.

    Args:
        settings, distributions: what Optuna chose, and from what, as its own JSON.
        outcome: trained, refused, diverged or again (its model had been tried).
    """

    settings: dict[str, Any]
    distributions: dict[str, str]
    model: str
    outcome: str
    parameters: int
    milliseconds: float | None
    validation: float | None
    why: str


class TrialLog(RecordFile):
    """trials.json: the trials in the order in which they were asked for, and all times measured."""

    AGAIN: ClassVar[str] = (
        "delete it, and the same search asks again: what was trained in {directory} is kept"
    )
    trials: tuple[SettledTrial, ...]
    measured: dict[str, float]


class TrialList(RecordFile):
    """search.json: the trials, best first."""

    AGAIN: ClassVar[str] = "delete it, and the same search writes it again"

    task: TaskRecord
    trials: tuple[Trial, ...]
