"""What a run writes: its table and verdict, its stages, its teacher's part, its products."""

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from stillhouse.errors import RunError
from stillhouse.records.checked import missing_files
from stillhouse.records.files import Reading
from stillhouse.records.metric import TaskRecord
from stillhouse.records.schema import RUN_AGAIN, Record, RecordFile

SCORES, METRICS, PRODUCTS, COSTS = "scores.json", "metrics.jsonl", "products.json", "costs.json"
STAGE, SERVED, SETTLED = "stage.json", "teacher.json", "settled.json"
REPORT = "report.html"


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


class WithRows(Record):
    """What the rows of the test set add to a verdict over seeds.

    Args:
        rows: of the test set.
        low, high: 95 % interval for other seeds and other rows; None with one seed.
        over_seeds, over_rows: standard errors of the gain by each.
        gained, lost: with one seed, rows that only the student gets right, and only the control.
        p: of McNemar's exact test of these, two-sided.
    """

    rows: int
    low: float | None
    high: float | None
    over_seeds: float | None
    over_rows: float
    gained: int | None = None
    lost: int | None = None
    p: float | None = None


class Verdict(Record):
    """Mean paired gain of the student over its control, and what it says.

    Args:
        word: helps, hurts, no difference shown, equivalent within the margin, too few seeds to
            tell, no control.
        gain: positive: the student is better. None without a control.
        low, high: of its interval; None with one seed, which has no spread to judge by.
        seeds: pairs; without a control: students.
        gains: of each seed.
        sentence: all of it, for people.
        confidence: of the interval.
        measure: what was compared.
        p: two-sided; None with one seed.
        margin: a difference that does not matter, in the metric's own unit, unscaled.
        could_show: what so many seeds can show, in words.
        covers: what the interval covers, in words.
        with_rows: the interval for other rows as well, where the metric is a mean over rows.
    """

    word: str
    gain: float | None
    low: float | None
    high: float | None
    seeds: int
    gains: tuple[float, ...]
    sentence: str
    confidence: float
    measure: str
    p: float | None = None
    margin: float | None = None
    could_show: str = ""
    covers: str = ""
    with_rows: WithRows | None = None

    def __str__(self) -> str:
        return self.sentence


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
        cautions: what is to be known before the verdict is believed, a sentence each.
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


class Product(Record):
    """A file that the run hands over."""

    name: str
    file: str
    bytes: int
    sha256: str
    what: str


class ProductList(RecordFile):
    """products.json: what the run hands over."""

    products: tuple[Product, ...]


def check_products(directory: Path) -> list[str]:
    """Compare the products of a run with their checksums; gives the names that are not there.

    Raises:
        RunError: one was changed, or their list was.
    """
    listed = ProductList.read(directory / PRODUCTS).products
    checksums = {product.file: product.sha256 for product in listed}
    return missing_files(directory, checksums, RunError, RUN_AGAIN)


class NetworkCosts(Record):
    """What one network costs.

    Args:
        macs: multiplications (each with its addition) of one image.
        file_bytes: of its state dict as a file.
        milliseconds: of one answer, by batch size.
        test: the metric on the test set, of the last epoch; None where it was not measured.
    """

    name: str
    parameters: int
    macs: int
    file_bytes: int
    milliseconds: dict[str, float | None]
    model: str = ""
    test: float | None = None


class LayerChange(Record):
    """A layer that became something else: weights before and after, and how."""

    path: str
    before: int
    after: int
    how: str


class LayerKept(Record):
    """A layer that stayed as it was, and why."""

    path: str
    why: str


class Costs(RecordFile):
    """costs.json: what it costs to use a student, beside its teacher.

    Args:
        derive: how it was made out of its teacher, the section of the recipe; empty if it was not.
        model: what it is called.
        conditions: what a time depends on beside the network.
        changes, kept: what became of the teacher's layers.
    """

    derive: dict[str, Any]
    model: str
    conditions: dict[str, Any]
    networks: tuple[NetworkCosts, ...]
    seed: int | None = None
    changes: tuple[LayerChange, ...] = ()
    kept: tuple[LayerKept, ...] = ()


class Epoch(Record):
    """A line of metrics.jsonl: one stage after one epoch, from 1.

    Args:
        stage, seed: whose; not said in the directory of the stage itself.
        terms: before weighting.
        validation: measure -> metric -> value.
        diagnostics: on validation.
    """

    model_config = ConfigDict(extra="ignore")  # the report does not show all that training says

    epoch: int
    stage: str = ""
    seed: int | None = None
    terms: dict[str, float | None] = Field({})
    weights: dict[str, float | None] = Field({})
    validation: dict[str, dict[str, float | None]] = Field({})
    diagnostics: dict[str, Reading] = Field({})


class StageRecord(RecordFile):
    """stage.json: the mark that a stage is done.

    Args:
        identity: the fingerprint of what decides it.
        keeps: the node that is its product.
        nodes: that have weights.
        history: the lines of its epochs, as they were written.
        sha256: of its files, by name.
    """

    AGAIN: ClassVar[str] = "delete {directory}, and the same command trains it again"
    identity: str
    keeps: str
    nodes: tuple[str, ...]
    epochs: int
    best_epoch: int
    seconds: float
    history: tuple[dict[str, Any], ...]
    sha256: dict[str, str]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Its epochs are there, and the weights of the last and the best one have a checksum."""
        if not 1 <= self.best_epoch <= self.epochs == len(self.history):
            raise ValueError(
                f"best epoch {self.best_epoch} of {self.epochs}, and {len(self.history)} lines"
            )
        for name in (f"{self.keeps}.safetensors", f"{self.keeps}-best.safetensors"):
            if name not in self.sha256:
                raise ValueError(f"no checksum of {name}")
        return self


class StageNotes(RecordFile):
    """settled.json: what was settled while a student's stage was composed, in words."""

    AGAIN: ClassVar[str] = "delete it"
    notes: dict[str, str]
