"""The networks of a recipe: by name, with weights, or trained before the student is.

Sections nest: a teacher may take its classifier from a network that is trained first, or learn
from a teacher of its own. So a chain of stages is written as what it is made of.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from stillhouse.engine.settings import Count, Epochs, Seed, Side
from stillhouse.methods import METHODS
from stillhouse.recipes.choices import choices, is_own
from stillhouse.recipes.data import TeacherDataSection
from stillhouse.recipes.labels import ClassWeights, Smoothing
from stillhouse.recipes.section import Section
from stillhouse.recipes.weights import ENSEMBLE, WeightsSection
from stillhouse.records.metric import Metric

GENERATION = 1000
"""Between the seed of a student and that of its own teacher, so that they never start alike."""

if TYPE_CHECKING:
    from stillhouse.recipes.choices import Choice

    Methods = Choice  # what the choice below gives
else:
    Methods = choices([method.build for method in METHODS], own=True)


def short(key: str) -> BeforeValidator:
    """A bare word stands for the section with that one key."""

    def expand(value: Any) -> Any:
        return {key: value} if isinstance(value, str | Path) else value

    return BeforeValidator(expand)


def _several(value: Any) -> Any:
    """A list of networks is an ensemble of them."""
    return {"members": value} if isinstance(value, list | tuple) else value


def _one_or_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Frozen = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_one_or_several)
]
"""Paths of what does not learn; one may stand alone."""

Pad = Annotated[int, Field(ge=-4096, le=4096)]

Precision = Literal["float32", "bfloat16", "float16"]


class InputSection(Section):
    """A model's own input, where it differs from the batch's; ``mean``, ``std`` in its order.

    ``pad``: black pixels at the left, top, right and bottom, before the image is resized to
    ``size``: a side, or ``[height, width]``. A negative pad cuts so many pixels away.
    """

    size: Side | tuple[Side, Side] | None = None
    pad: tuple[Pad, Pad, Pad, Pad] | None = None
    channels: Literal[1, 3] | None = None
    order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] | None = None
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = None

    @model_validator(mode="after")
    def _both(self) -> "InputSection":
        if (self.mean is None) != (self.std is None):
            raise ValueError("give mean and std together, one number per channel")
        if self.mean and self.std and len(self.mean) != len(self.std):
            raise ValueError("mean and std must have as many numbers as there are channels")
        return self

    def shape(self, image: Sequence[int]) -> tuple[int, int, int]:
        """Channels, height and width of what the model reads, of an image of the data.

        >>> InputSection(pad=(3, 16, 3, 6)).shape((3, 90, 90))
        (3, 112, 96)
        """
        channels, height, width = image
        left, top, right, bottom = self.pad or (0, 0, 0, 0)
        sides = (height + top + bottom, width + left + right)
        if self.size is not None:
            sides = (self.size, self.size) if isinstance(self.size, int) else self.size
        return self.channels or channels, *sides

    @property
    def identity(self) -> dict[str, Any]:
        """What a fingerprint must know of it."""
        return self.model_dump(exclude={"pad"} if self.pad is None else set())


class ModelSection(WeightsSection):
    """A network by name, and its weights if it has some.

    ``head_path`` names the module that gives the logits, where it is not the last Linear.
    ``output``: which of several outputs is the logits, by name or position; not needed where one of
    them is called ``logits``, or a single one is as wide as there are classes. ``arguments``
    go to the function of timm, torchvision or transformers that builds it, such as
    ``{img_size: 64, drop_path_rate: 0.1}``. ``frozen``: paths of modules (or of parameters) that do
    not learn while the rest does, or patterns of them (``layer[12]``, ``*.bn?``); such a module is
    in eval mode, so that a batch norm keeps its statistics.
    """

    head_path: str | None = None
    output: str | Annotated[int, Field(ge=0)] | None = None
    arguments: Mapping[str, JsonValue] = Field(default_factory=dict)
    frozen: Frozen = ()

    @property
    def head_now(self) -> str | None:
        """The path of its classifier as it is in the end; None where it is found."""
        return self.head_path


class StudentSection(ModelSection):
    """The student, and whose classifier it has.

    ``own``: it learns its own. ``shared``: the teacher's, frozen. ``copied``: it starts from the
    teacher's and learns. Its control always learns its own. ``input``: its own normalisation,
    resolution and channels; its control and its product read the same. ``quantise: int8``: it and
    its control learn while their weights and inputs are rounded to int8; ``keep`` lists the paths
    of layers that stay float.
    """

    head: Literal["own", "shared", "copied"] = "own"
    input: InputSection | None = None
    quantise: Literal["int8"] | None = None
    keep: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _of_rounding(self) -> Self:
        if self.keep and self.quantise is None:
            raise ValueError("keep says which layers stay float; add quantise: int8")
        return self


class UntilSection(Section):
    """A snapshot of a training: after an epoch, or once the task's metric reaches a value.

    The metric is asked for by its name, as in ``{accuracy: 0.15}``, and read on validation data.
    The schedule stays that of the whole training.
    """

    epoch: Count | None = None
    metric: str | None = None
    value: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or set(given) <= {"epoch", "metric", "value"}:
            return given
        if len(given) > 1:
            raise ValueError("say one: {epoch: 1} or a metric such as {accuracy: 0.15}")
        ((name, value),) = given.items()
        return {"metric": name, "value": value}

    @model_validator(mode="after")
    def _one(self) -> "UntilSection":
        if (self.metric is None) != (self.value is None) or (self.epoch is None) == (
            self.metric is None
        ):
            raise ValueError("say one: {epoch: 1} or a metric such as {accuracy: 0.15}")
        return self

    def objection(self, metric: Metric) -> str | None:
        """What is wrong with the value that is waited for; None where nothing is."""
        if self.metric is None or self.value is None:
            return None
        if self.metric != metric.name:
            return (
                f"until.{self.metric}: this task is measured by {metric.name}; say until: "
                f"{{{metric.name}: VALUE}}, or {{epoch: 1}}"
            )
        if metric.share and not 0 < self.value <= 1:
            return (
                f"until.{self.metric} is {self.value:g}; it is a share, not percent: greater than "
                "0, at most 1"
            )
        return None


class TeacherSection(ModelSection):
    """A network that others learn from: given with its weights, or trained here first.

    ``epochs``: its own budget. ``patience``: it ends once so many epochs in a row were no better on
    validation. ``seed``: one number for all students, or ``student``: each student
    has one of its own seed. ``until``: a snapshot instead of the whole training. ``head``: the
    network whose classifier it takes over and keeps, bit for bit. ``method`` and ``teacher``: it
    is itself distilled. ``input``: its own normalisation, resolution and channels. ``members``:
    it is an ensemble of these networks, each trained or given by itself. ``classes``: of a network
    that comes trained, what its outputs are called, in its own order, where that is not the data's:
    ``[dog, cat]``; or of each class of the data the position among its outputs:
    ``{cat: 281, dog: 207}``. More outputs than the data has classes are left out. ``dtype``: of a
    network that comes trained, the precision that it computes in, with its weights; images and
    outputs are cast at its border, so that losses are in float32. ``data``: its own number of
    training rows and its own augmentation, where it is trained here: ``{limit: all}``.
    ``label_smoothing``, ``class_weights``: of its own labelled term; those of the recipe are its
    student's.
    ``centres``: of a network that comes trained, whether its classifier is made of its own
    embeddings: of each class of the data the direction of their mean (`class_centres`), on the
    training rows. Its logits are then scaled cosines, whatever classes it was trained on, and a
    student can share them (``head: shared``). With ``head_path: none`` what it returns is its
    embedding; without centres it then has no logits.
    """

    model: str = ENSEMBLE
    epochs: Epochs | None = None
    patience: Epochs | None = None
    seed: Seed | Literal["student"] = 0
    until: UntilSection | None = None
    head: "Teacher | None" = None
    method: Methods | None = None
    teacher: "Teacher | None" = None
    input: InputSection | None = None
    classes: tuple[str | int, ...] | dict[str | int, Annotated[int, Field(ge=0)]] | None = None
    dtype: Precision | None = None
    data: TeacherDataSection | None = None
    label_smoothing: Smoothing = 0.0
    class_weights: ClassWeights | None = None
    centres: bool = False
    members: "tuple[Teacher, ...]" = ()

    @model_validator(mode="after")
    def _alone_or_several(self) -> "TeacherSection":
        if bool(self.members) != (self.model == ENSEMBLE):
            raise ValueError(
                f"model '{ENSEMBLE}' and members go together: name a model, or list the members"
            )
        asked = [*asked_of_training(self), *(n for n in ("weights", "start") if getattr(self, n))]
        own = [
            key
            for key in ("input", "head_path", "output", "classes", "dtype")
            if getattr(self, key) is not None
        ]
        if self.members and (asked or own):
            said = [*asked, *own][0]
            raise ValueError(f"an ensemble is not trained itself; give {said} to its members")
        return self

    @property
    def head_now(self) -> str | None:
        """The path of its classifier as it is in the end; None where it is found."""
        return None if self.centres else self.head_path

    @model_validator(mode="after")
    def _of_centres(self) -> "TeacherSection":
        beside = [name for name in ("members", "classes", "output") if getattr(self, name)]
        if self.centres and beside:
            raise ValueError(
                f"centres: true makes a classifier of the data's classes, and {beside[0]} speaks "
                "of the one that it has; leave out one of them"
            )
        return self

    @model_validator(mode="after")
    def _trained_or_given(self) -> "TeacherSection":
        asked = asked_of_training(self)
        if self.comes_trained and asked:
            raise ValueError(
                f"it has weights and is not trained here, so {asked[0]} says nothing; leave "
                "out one of them, or say start in place of weights if it is to be trained on"
            )
        if self.until and self.until.epoch and self.epochs and self.until.epoch > self.epochs:
            raise ValueError(f"until.epoch is {self.until.epoch} and it has {self.epochs} epochs")
        if self.until and self.patience:
            raise ValueError("until and patience both end its training early; give one of them")
        before = [each for each in (self.head, self.teacher) if each_student_its_own(each)]
        if before and self.seed != "student":
            raise ValueError(
                f"it has one seed ({self.seed}) for all students and comes from a network of each "
                "student's own; give it seed: student too"
            )
        problem = method_problem(self.method, self.teacher)
        problem = problem or unneeded_teacher(self.method, self.teacher)
        problem = problem or _not_for_teachers(self.method)
        if problem:
            raise ValueError(problem)
        return self


def method_problem(method: Any, teacher: TeacherSection | None) -> str | None:
    """Whether a method that needs a teacher has one; None when all is well."""
    needy = {each.name for each in METHODS if each.needs_teacher}
    if method is not None and method.name in needy and teacher is None:
        return (
            f"method '{method.name}' needs a teacher; add teacher: MODEL ('stillhouse ls models' "
            "lists them)"
        )
    if method is None and teacher is not None:
        return "it has a teacher and no method; add method: kd"
    return None


def unneeded_teacher(method: Any, teacher: TeacherSection | None) -> str | None:
    """Whether a network has a teacher that its method cannot take; None when all is well."""
    alone = {each.name for each in METHODS if not each.needs_teacher}
    if method is not None and method.name in alone and teacher is not None:
        return f"method '{method.name}' takes no teacher; leave teacher out, or add method: kd"
    return None


def _not_for_teachers(method: Any) -> str | None:
    """Whether a teacher is to be trained by a method that teachers cannot have; None if not."""
    if method is not None and is_own(method.name):
        return f"method '{method.name}': a teacher is trained by a method of the catalogue"
    if method is None or not any(m.name == method.name and m.needs_peers for m in METHODS):
        return None
    return (
        f"method '{method.name}' needs peers, and a teacher is trained without any; take another "
        "method, or the weights of a run of this one (weights: student.safetensors)"
    )


def asked_of_training(section: TeacherSection) -> list[str]:
    """Keys of a section that say how it is trained here."""
    found = [
        name
        for name in ("until", "head", "method", "teacher", "epochs", "patience", "data")
        if getattr(section, name) is not None
    ]
    found += [n for n in ("frozen", "label_smoothing", "class_weights") if getattr(section, n)]
    return [*found, "seed: student"] if section.seed == "student" else found


Teacher = Annotated[TeacherSection, short("model"), BeforeValidator(_several)]
TeacherSection.model_rebuild()


def ancestors(section: TeacherSection | None) -> Sequence[TeacherSection]:
    """A teacher and all networks that it comes from, itself first.

    >>> head = {"model": "resnet8", "epochs": 3}
    >>> [each.model for each in ancestors(TeacherSection(model="resnet20", head=head))]
    ['resnet20', 'resnet8']
    """
    if section is None:
        return []
    inner = [each for member in section.members for each in ancestors(member)]
    return [section, *inner, *ancestors(section.head), *ancestors(section.teacher)]


def titled(section: TeacherSection) -> str:
    """What a teacher is called in titles: its model, or its members'.

    >>> titled(TeacherSection(members=[{"model": "resnet20"}, {"model": "resnet32"}]))
    'resnet20 + resnet32'
    """
    return " + ".join(titled(each) for each in section.members) or section.model


def each_student_its_own(section: TeacherSection | None) -> bool:
    """Whether every student seed has a teacher of its own."""
    return any(each.seed == "student" for each in ancestors(section))
