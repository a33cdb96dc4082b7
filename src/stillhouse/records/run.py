"""scores.json and teacher.json: the table of a run, who is in it, and how its teacher served."""

from typing import Any, ClassVar

from pydantic import Field

from stillhouse.records.figures import TableFigures
from stillhouse.records.files import Reading
from stillhouse.records.metric import TaskRecord
from stillhouse.records.probe import ProbeRecord
from stillhouse.records.schema import Record, RecordFile
from stillhouse.records.verdict import Verdict

SCORES, METRICS = "scores.json", "metrics.jsonl"
AVERAGE = "moving average"
"""The inference by the moving average of a network's weights."""
REPORT, SERVED = "report.html", "teacher.json"


class EpochScores(Record):
    """The metric of the last epoch, and of the epoch that is best on validation."""

    last: float | None
    best: float | None


class SeedScores(Record):
    """What one training with one seed came to.

    Args:
        seconds: of training, without loading and scoring.
        test: by the inference that the network is judged by.
        heads: test scores by further inferences.
        diagnostics: after the last epoch.
    """

    seed: int
    seconds: float
    validation: EpochScores
    test: EpochScores
    heads: dict[str, EpochScores] = Field({})
    diagnostics: dict[str, Reading] = Field({})


class TrainedRun(SeedScores):
    """One training of one network, as its own run tells it.

    Args:
        epochs, best_epoch: 0 where it was given.
        of_epochs: how many it could have had, where patience ended it before.
        reused: it was found finished.
        heads_validation: validation scores by further inferences.
        notes: what was settled while its stage was composed, such as pairs of layers.
        given: it was not trained; its weights were brought along.
        training: the metric on training rows, not augmented; None where it was not looked at.
        rise: what it gained in the last fifth of its epochs, where it still rose.
        last_part: what it gained there, risen or not; None where nothing tells.
        temperature: that mends its probabilities, fitted on validation.
    """

    epochs: int
    best_epoch: int
    reused: bool
    heads_validation: dict[str, EpochScores] = Field({})
    notes: dict[str, str] = Field({})
    given: bool = False
    training: float | None = None
    rise: float | None = None
    last_part: float | None = None
    temperature: float | None = None
    of_epochs: int | None = None


class ModelRecord(Record):
    """One network in its role (teacher, control, student, ...), one run per seed.

    Args:
        bytes: of its parameters and buffers.
        heads_bytes: of its further forms, such as int8.
    """

    role: str
    model: str
    parameters: int
    bytes: int
    heads_bytes: dict[str, int] = Field({})
    runs: tuple[TrainedRun, ...]


class DataRecord(Record):
    """The data set: rows of its three parts, classes, and (channels, height, width)."""

    name: str
    train: int
    validation: int
    test: int
    classes: int
    class_names: tuple[str, ...] = ()
    image: tuple[int, ...]


class MethodRecord(Record):
    """The distillation method: its name, what it does in a line, its paper, its settings."""

    name: str
    line: str
    paper: str
    settings: dict[str, Any]


class TransferSet(Record):
    """One set of synthetic images, and what the teacher says of them, counted."""

    seed: int
    directory: str
    seconds: float
    balance: dict[str, Any]


class TransferRecord(Record):
    """What the students learnt on instead of the data."""

    method: str
    settings: dict[str, Any]
    count: int
    images_per_epoch: int
    augment: Any
    seconds: float
    images_per_second: float
    sets: tuple[TransferSet, ...]


class Candidate(Record):
    """Settings of a method that were tried, and the metric on validation, last epoch.

    Args:
        validation: None where it is no number, or the candidate diverged.
        diverged: which term did, and when; empty if none did.
    """

    name: str
    settings: dict[str, Any]
    validation: float | None
    diverged: str = ""


class Tuning(Record):
    """Settings that were chosen on validation before the run.

    Args:
        seed: of the candidates.
        chosen: the name of the one that was taken.
        candidates: in the order in which they were tried.
    """

    seed: int
    chosen: str
    candidates: tuple[Candidate, ...]


class Serving(RecordFile):
    """How the teacher served: live or cached, and why; in teacher.json for later sessions.

    Args:
        views, bytes: of the teacher cache; 0 without one.
        seconds: of caching, over all runs.
        students: that it served.
    """

    AGAIN: ClassVar[str] = "delete it"
    cached: bool
    why: str
    views: int
    bytes: int
    seconds: float
    students: int


class Scores(RecordFile):
    """scores.json: the table and the verdict of a run, written last: the mark that it is finished.

    Args:
        decisive: fingerprints of what decided the run, by what it is.
        files: sha256 of the files that were written with it, by name.
        warnings: what may make the numbers worthless, and what of the data was left out, in words.
        tuning: what was chosen on validation before the run.
        probe: what embeddings are worth on a labelled set, where one was named.
        cautions: what is to be known before the verdict is believed, a sentence each.
        figures: what the task measures of whole tables beside the headline.
    """

    task: TaskRecord
    title: str
    created: str
    finished: bool
    seconds: float
    data: DataRecord
    method: MethodRecord
    models: tuple[ModelRecord, ...]
    verdict: Verdict | None
    teacher_served: Serving | None
    transfer: TransferRecord | None
    warnings: tuple[str, ...] = Field(())
    decisive: dict[str, str] = Field({})
    files: dict[str, str] = Field({})
    cautions: tuple[str, ...] = ()
    tuning: Tuning | None = None
    probe: ProbeRecord | None = None
    figures: tuple[TableFigures, ...] = ()
