"""The recipe: what a run is, as data. Every default is written out in resolved.yaml."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from stillhouse.cache.storage import DType, Storage
from stillhouse.engine.optimisers import OPTIMIZERS, refusal
from stillhouse.engine.platform import Precision
from stillhouse.engine.schedules import SCHEDULES, never_reached
from stillhouse.engine.settings import Count, Epochs, Seed
from stillhouse.errors import RecipeError
from stillhouse.methods import METHODS
from stillhouse.recipes.average import Average
from stillhouse.recipes.choices import choices, is_own
from stillhouse.recipes.data import DataSection, ProbeSection, TransferSection
from stillhouse.recipes.derive import Student, objection
from stillhouse.recipes.judging import VerdictSection
from stillhouse.recipes.labels import ClassWeights, Smoothing
from stillhouse.recipes.networks import (
    GENERATION,
    Methods,
    Teacher,
    ancestors,
    each_student_its_own,
    method_problem,
    short,
    titled,
)
from stillhouse.recipes.peers import Peers, beside, peers_problem, with_peers
from stillhouse.recipes.section import Section
from stillhouse.recipes.track import Track
from stillhouse.recipes.tuning import TuneSection, tune_problems, tune_words
from stillhouse.records.local_copies import DEFAULT_GB, GB, LocalCopies, default_folder
from stillhouse.records.own_code import called
from stillhouse.records.remote import Location, located
from stillhouse.tasks import CLASSIFICATION, TASKS

MOST_SEEDS = 1000
"""Trainings of one recipe; a verdict needs 3, and more than 100 tell nothing new."""


class BalanceSection(Section):
    """Weights of terms by the norms of their gradients at the start, in place of given ones.

    ``share``: the gradient norm of all terms but the first together, in units of that of the first.
    ``batches``: on how many it is measured.
    """

    by: Literal["gradient"] = "gradient"
    share: Annotated[float, Field(gt=0)] = 1.0
    batches: Count = 8


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


class CacheSection(Section):
    """Whether the teacher is cached once instead of run in each step, and how it is stored.

    ``directory`` may be an address of an object store; it is then read through copies in ``local``.

    float32 gives the same student as a live teacher, bit for bit, so ``auto`` may decide by time.
    Another storage changes the student: it is then always cached.
    """

    use: Literal["auto", "always", "never"] = "auto"
    dtype: DType | dict[str, DType] = "float32"
    top: Count | None = None
    directory: Annotated[str, BeforeValidator(_as_text)] | None = None
    local: Path | None = None
    local_gb: Annotated[float, Field(gt=0, allow_inf_nan=False)] = DEFAULT_GB

    @model_validator(mode="before")
    @classmethod
    def _lossy(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        dtype, top = values.get("dtype", "float32"), values.get("top")
        dtypes = dtype.values() if isinstance(dtype, dict) else [dtype]
        if top is None and all(each == "float32" for each in dtypes):
            return values
        if values.get("use") == "auto":
            raise ValueError(
                "'auto' decides by time, and float16, bfloat16 or top change the student; write "
                "use: always (or never)"
            )
        return {"use": "always", **values}

    @property
    def place(self) -> Location | None:
        """Where the cache is asked to be, if anywhere.

        >>> str(CacheSection(directory="s3://bucket/a/").place)
        's3://bucket/a'
        """
        if self.directory is None:
            return None
        copies = LocalCopies(self.local or default_folder(), round(self.local_gb * GB))
        return located(self.directory, copies)

    def storage(self, part: str) -> Storage:
        """How a signal of the teacher is stored; ``top`` is for its logits.

        >>> CacheSection(dtype={"layer3": "float16"}).storage("layer3").name
        'float16'
        """
        if isinstance(self.dtype, dict):
            dtype: DType = self.dtype.get(part, "float32")
        else:
            dtype = self.dtype
        return Storage(dtype, self.top if part == "logits" else None)


def _cache(value: Any) -> Any:
    """A bare word is ``use``; ``no`` and ``yes``, as words or truth values, too."""
    use = {"yes": "always", "no": "never", True: "always", False: "never"}
    if isinstance(value, bool | str):
        return {"use": use.get(value, value)}
    return value


def _seeds(value: Any) -> Any:
    """``3`` is short for ``[0, 1, 2]``."""
    several = isinstance(value, list | tuple)
    number = isinstance(value, int) and not isinstance(value, bool)
    count = len(value) if several else value
    if not (several or number) or count < 1:
        raise ValueError(f"it is {value!r}; say how many, 1 or more, or list them: [0, 1, 2]")
    if count > MOST_SEEDS:
        said = f"{count:,} of them are asked for, and {MOST_SEEDS:,} are the most; to train under "
        raise ValueError(f"{said}one seed of that number, list it: [7]")
    return value if several else list(range(value))


def _optimizer(value: Any) -> Any:
    """PyTorch's own names, such as AdamW, stand for ours."""
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        return value
    name = value["name"].lower()
    why = refusal(name)
    if why:
        raise ValueError(f"'{name}' cannot train here: {why}")
    return {**value, "name": name}


class Recipe(Section):
    """A distillation with its control.

    Keys:
        data: where samples come from and how they are shown; a source alone is short for it.
        student: the network that learns, by name or as a section; or how it is made of its teacher.
        peers: networks that learn beside the student, for methods that take them.
        teacher: the network that is learnt from; several are an ensemble.
        probe: a labelled set on which embeddings are judged that were learnt without labels.
        transfer: a set of images that is made from the teacher; the student sees no other.
        task: what the labels mean, what is measured and what the verdict is about.
        label_smoothing: of the labelled term of student, peers and control.
        class_weights: likewise: how much a row of each class counts.
        method: how the student learns.
        epochs: passes over the training data.
        patience: ends a training after so many epochs that were no better on validation.
        ema: a moving average of the weights of student and control; a decay is short for it.
        batch: rows of an optimiser step, of all processes together.
        seeds: of initialisation and order; 3 is short for [0, 1, 2]. Three or more give a verdict.
        optimizer: of every network that is trained.
        schedule: of its learning rate.
        balance: takes the weights of terms from gradient norms at the start.
        cache: whether the teacher's outputs are kept in place of running it in each step.
        control: whether the student is trained alone, too, for the verdict.
        tune: settings of the method that are tried on validation first.
        verdict: what the verdict may say beside helps, hurts and no difference shown.
        track: trackers that draw curves: tensorboard, mlflow, trackio, wandb.
        precision: of forward and backward passes; auto is bf16 where the processor computes in it.
        device: cpu, cuda, cuda:1, mps; auto takes an accelerator where there is one.
        accumulate: parts that a batch is cut into where it does not fit the memory.
        clip: the largest norm of the gradients of an optimiser.
        compile: torch.compile; auto measures whether it pays.
        checkpoint_seconds: the least time between two checkpoints of a training.

    >>> recipe = Recipe(data="digits", teacher="resnet20", student="resnet8", method="kd")
    >>> recipe.method.temperature, recipe.seeds, recipe.optimizer.lr
    (4.0, (0, 1, 2), 0.05)
    """

    data: Annotated[DataSection, short("source")]
    student: Student
    peers: Peers | None = None
    teacher: Teacher | None = None
    probe: Annotated[ProbeSection, short("source")] | None = None
    transfer: TransferSection | None = None
    task: choices(TASKS, own=True) = Field(CLASSIFICATION.name, validate_default=True)  # type: ignore[valid-type]
    label_smoothing: Smoothing = 0.0
    class_weights: ClassWeights | None = None
    method: Methods = Field("kd", validate_default=True)
    epochs: Epochs = 30
    patience: Epochs | None = None
    ema: Average = None
    batch: Count = 64
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_seeds)] = (0, 1, 2)
    optimizer: Annotated[choices(OPTIMIZERS), BeforeValidator(_optimizer)] = Field(  # type: ignore[valid-type]
        "sgd", validate_default=True
    )
    schedule: choices(SCHEDULES) = Field("cosine", validate_default=True)  # type: ignore[valid-type]
    balance: Annotated[BalanceSection, short("by")] | None = None
    cache: Annotated[CacheSection, BeforeValidator(_cache)] = CacheSection()
    control: bool = True
    tune: Annotated[TuneSection | None, BeforeValidator(tune_words)] = None
    verdict: VerdictSection = VerdictSection()
    track: Track = None
    precision: Precision = "auto"
    device: str = "auto"
    accumulate: Count = 1
    clip: Annotated[float, Field(gt=0)] | None = None
    compile: bool | Literal["auto", "graphs"] = "auto"
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0

    @model_validator(mode="before")
    @classmethod
    def _peers(cls, values: Any) -> Any:
        return with_peers(values, cls.model_fields["method"].default)

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        problems = list(dict.fromkeys(self._misfits()))
        if problems:
            raise ProblemsError(problems)
        return self

    def _misfits(self) -> Iterator[str]:
        """What of its parts does not fit together."""
        own = is_own(self.method.name)  # what it needs is known when it is imported
        needs = own or any(m.name == self.method.name and m.needs_teacher for m in METHODS)
        problem = method_problem(self.method, self.teacher)
        problem = problem or peers_problem(self.method.name, self.peers, self.seeds)
        if problem:
            yield problem
        if self.student.head != "own" and self.teacher is None:
            yield (
                f"student.head '{self.student.head}' is the teacher's classifier, and there is no "
                "teacher; add one, or leave head out"
            )
        if self.student.head != "own" and self.teacher is not None and self.teacher.members:
            yield "student.head: an ensemble has no classifier of its own to share; leave head out"
        if not needs and self.cache.use == "always":
            yield f"method '{self.method.name}' has no teacher to record; leave cache out"
        if self.transfer is not None and self.teacher is None:
            yield "a transfer set is made from a teacher; add teacher: MODEL"
        yield from self._impatience()
        if self.transfer is not None and self.class_weights is not None:
            yield (
                "class_weights weigh the classes of training rows, and a transfer set has those "
                "that its teacher gives it; leave class_weights out"
            )
        for each in ancestors(self.teacher):
            until = each.until.epoch if each.until else None
            if until and each.epochs is None and until > self.epochs:
                yield f"{each.model}: until.epoch is {until} of {self.epochs} epochs"
        if each_student_its_own(self.teacher) and max(self.seeds) >= GENERATION:
            yield (
                f"seeds {_few(self.seeds)}: teachers with seed: student have seeds from "
                f"{GENERATION} on; give the students smaller ones"
            )
        if len(set(self.seeds)) != len(self.seeds):
            yield f"seeds {_few(self.seeds)}: each seed may come once"
        problem = objection(self.student, self.teacher)
        if problem:
            yield problem
        yield from self._rate_misfits()
        transfer, balanced = self.transfer is not None, self.balance is not None
        yield from tune_problems(self.method, self.tune, transfer=transfer, balanced=balanced)

    def _impatience(self) -> Iterator[str]:
        """What of an early end cannot be, or comes after the last epoch."""
        if self.patience is not None and self.transfer is not None:
            yield (
                "patience is read from validation data, and a student of a transfer set has none; "
                "leave patience out, or transfer"
            )
        asked = [(each.model, each.patience, each.epochs) for each in ancestors(self.teacher)]
        for who, patience, epochs in [("patience", self.patience, None), *asked]:
            whole = epochs or self.epochs
            if patience is not None and patience > whole - 2:
                named = who if who == "patience" else f"{who}: patience"
                yield (
                    f"{named} is {patience} of {whole} epochs: it can end a training of at least "
                    f"{patience + 2}, after epoch {patience + 1} at the earliest; give less"
                )

    def _rate_misfits(self) -> Iterator[str]:
        """What of optimiser and schedule cannot be, or lies beyond a training."""
        kinds = {each.__name__: each for each in OPTIMIZERS}
        try:
            kinds[self.optimizer.name](**self.optimizer.settings())
        except RecipeError as error:
            yield from (f"{error.where}: {each}" for each in error.problems)
        schedule = f"schedule '{self.schedule.name}'"
        problem = never_reached(self.schedule.settings(), self.epochs)
        if problem:
            yield f"{schedule}: {problem}"
            return
        for each in ancestors(self.teacher):
            epochs = each.epochs or self.epochs
            problem = never_reached(self.schedule.settings(), epochs)
            if problem:
                yield (
                    f"{schedule}, for the teacher '{each.model}': {problem}, or a schedule without "
                    "milestones (cosine)"
                )

    @property
    def each_student_its_data(self) -> bool:
        """Whether each student has a transfer set (or a teacher) of its own."""
        own = self.transfer is not None and self.transfer.seed == "student"
        return own or each_student_its_own(self.teacher)

    @property
    def title(self) -> str:
        """What the run is, in a line."""
        before = f"{titled(self.teacher)} -> " if self.teacher else ""
        head = f"{before}{self.student.model}"
        source = self.data.source.rstrip("/").rsplit("/", 1)[-1]
        if self.transfer is not None:
            made = f"{self.transfer.count:,} images of {self.transfer.method.name}"
            source = f"{made} ({source})"
        return called(f"{head}{beside(self.peers)} on {source} by {self.method.name}")


class ProblemsError(ValueError):
    """Several findings at once, where a validator of pydantic may raise one error."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def _few(seeds: Sequence[int]) -> str:
    return f"[{', '.join(map(str, seeds[:8]))}{', ...' if len(seeds) > 8 else ''}]"


def resolved(recipe: Recipe) -> dict[str, Any]:
    """The recipe with every default, as plain data."""
    found: dict[str, Any] = recipe.model_dump(mode="json", serialize_as_any=True)
    return found


def keys(section: type[BaseModel]) -> Sequence[str]:
    """The keys that a section knows.

    >>> "teacher" in keys(Recipe)
    True
    """
    return list(section.model_fields)
