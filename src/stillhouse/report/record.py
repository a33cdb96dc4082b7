"""What a run directory says, as frozen data; ``None`` is what the run has not said (yet)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stillhouse.report.costs import Costs
    from stillhouse.synthesis.gallery import Gallery

Reading = float | tuple[float | None, ...]
"""What a diagnostic showed: a number, or a list in which None was no finite number."""

Groups = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True)
class Accuracy:
    """Fractions in [0, 1]: of the last epoch, and of the epoch best on validation."""

    last: float | None = None
    best: float | None = None


@dataclass(frozen=True)
class TrainedRun:
    """One training of one model with one seed; ``given`` if the weights were brought along."""

    seed: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    seconds: float | None = None
    reused: bool = False
    given: bool = False
    validation: Accuracy = Accuracy()
    test: Accuracy = Accuracy()
    heads: Mapping[str, Accuracy] = field(default_factory=dict)
    heads_validation: Mapping[str, Accuracy] = field(default_factory=dict)
    diagnostics: Mapping[str, Reading] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelRecord:
    """One model in its role (``teacher``, ``control``, ``student``), one run per seed."""

    role: str
    model: str
    parameters: int | None = None
    size: int | None = None
    runs: tuple[TrainedRun, ...] = ()
    head_sizes: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """The data set and its three splits; ``image`` is (channels, height, width)."""

    name: str = ""
    train: int | None = None
    validation: int | None = None
    test: int | None = None
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    image: tuple[int, ...] = ()


@dataclass(frozen=True)
class Method:
    """The distillation method, its one-line description, its paper and its settings."""

    name: str = ""
    line: str = ""
    paper: str = ""
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Student minus control: the mean paired gain and its interval, as fractions."""

    word: str = ""
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    seeds: int | None = None
    measure: str = ""
    gains: tuple[float | None, ...] = ()
    sentence: str = ""


@dataclass(frozen=True)
class Served:
    """How the teacher served: live or cached, why, and what caching it took."""

    cached: bool = False
    why: str = ""
    seconds: float | None = None
    students: int | None = None


@dataclass(frozen=True)
class Epoch:
    """One line of metrics.jsonl: the state of one stage and seed after one epoch (1-based)."""

    stage: str
    seed: int | None
    epoch: int
    terms: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    accuracy: float | None = None
    diagnostics: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """A file that the run left behind."""

    name: str
    file: str = ""
    size: int | None = None
    sha256: str = ""
    what: str = ""


@dataclass(frozen=True)
class RunRecord:
    """Everything the report shows; built by :func:`stillhouse.report.read.read_run`.

    >>> RunRecord(name="demo").finished
    False
    """

    name: str
    title: str = ""
    created: str = ""
    finished: bool = False
    seconds: float | None = None
    data: Data = Data()
    method: Method = Method()
    models: tuple[ModelRecord, ...] = ()
    verdict: Verdict | None = None
    served: Served | None = None
    epochs: tuple[Epoch, ...] = ()
    recipe: str = ""
    environment: Groups = ()
    products: tuple[Product, ...] = ()
    missing: tuple[str, ...] = ()
    torn_lines: int = 0
    transfer: "Gallery | None" = None
    costs: "Costs | None" = None

    def role(self, role: str) -> ModelRecord | None:
        """Return the first model in a role, if the run has one.

        >>> record = RunRecord(name="demo", models=(ModelRecord("student", "resnet8"),))
        >>> record.role("student").model, record.role("teacher")
        ('resnet8', None)
        """
        return next((model for model in self.models if model.role == role), None)
