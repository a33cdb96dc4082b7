"""The teachers of a job: whom the student learns from, and all that these come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from stillhouse.bridges import InputAdapter
from stillhouse.engine.embedders import Embedders
from stillhouse.engine.heads import NO_HEAD, find_head, without_head
from stillhouse.engine.signals import IMAGE
from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError
from stillhouse.methods import find_method, plain
from stillhouse.models import Ensemble, weights_fingerprint
from stillhouse.models.given import set_eval
from stillhouse.recipes.networks import GENERATION, TeacherSection, asked_of_training
from stillhouse.runs.job.data import NO_VALIDATION, JobData
from stillhouse.runs.job.inputs import behind, make_input, reading
from stillhouse.runs.job.label_settings import adjusted_task
from stillhouse.runs.job.networks import Network, make_network
from stillhouse.tasks import CLASSIFICATION, Task


@dataclass(frozen=True)
class TeacherObjects:
    """Modules and functions given in place of names, in a teacher's section and those inside it.

    Args:
        model: of the teacher itself; None where the name is enough.
        members: of an ensemble, one for each.
        head, teacher: of those that it comes from.
    """

    model: Any = None
    members: "tuple[TeacherObjects, ...]" = ()
    head: "TeacherObjects | None" = None
    teacher: "TeacherObjects | None" = None


@dataclass(frozen=True)
class Teacher:
    """A network that others learn from or take their classifier from.

    Args:
        section: its part of the recipe.
        network: how it is made.
        role: what tables call it.
        depth: 1 for the student's teacher, 2 for whom that comes from.
        input: its own form of the image.
        head: whose classifier it takes over.
        teacher: from whom it is distilled.
        members: the networks of an ensemble; then it has no training of its own.
        task: what the labels mean.
        reads: what it is given, by what ``forward`` calls it: signals of a batch.
    """

    section: TeacherSection
    network: Network
    role: str = "teacher"
    depth: int = 1
    input: InputAdapter | None = None
    head: "Teacher | None" = None
    teacher: "Teacher | None" = None
    members: "tuple[Teacher, ...]" = ()
    task: Task = CLASSIFICATION
    reads: Mapping[str, str] = field(default_factory=lambda: {"image": IMAGE})

    @property
    def given(self) -> bool:
        """Whether it comes trained."""
        if self.members:
            return all(member.given for member in self.members)
        return self.network.given

    @property
    def family(self) -> "list[Teacher]":
        """Itself and all that it comes from."""
        inner = [each for member in self.members for each in member.family]
        before = [each for other in (self.head, self.teacher) if other for each in other.family]
        return [self, *inner, *before]

    def seed_for(self, student_seed: int) -> int:
        """Its seed: its own, or one that no student of the run has."""
        if self.section.seed == "student":
            return GENERATION * self.depth + student_seed
        return self.section.seed

    def make(self, student_seed: int) -> nn.Module:
        """Its module before training, or with its weights if it has some."""
        if self.members:
            return self.together([member.make(student_seed) for member in self.members])
        return self.network.make(self.seed_for(student_seed))

    def together(self, modules: Sequence[nn.Module]) -> Ensemble:
        """The ensemble of its members' modules, each behind its own form of the image.

        Where a task asks for embeddings alone, it is one of embedders.
        """
        pairs = list(zip(self.members, modules, strict=True))
        parts = [behind(member.input, module) for member, module in pairs]
        if self.task.headless:
            heads = [member._head_behind(module) for member, module in pairs]
            made: Ensemble = Embedders(parts, heads)
        else:
            made = Ensemble(parts)
        set_eval(made)
        return made

    def inside(self, part: nn.Module) -> nn.Module:
        """The module of a member, out of its own form of the image behind which `together` put it.

        ``part``: as the ensemble has it.
        """
        return part[-1] if isinstance(part, nn.Sequential) and self.input else part

    def _head_behind(self, module: nn.Module) -> str:
        """Path of its classifier in the ensemble."""
        named = self.section.head_now
        if without_head(module, named):
            return NO_HEAD
        path = named or find_head(module, who=self.role)
        return path if self.input is None else f"1.{path}"

    @property
    def leaves(self) -> "tuple[Teacher, ...]":
        """The networks that an ensemble is made of; of another teacher itself."""
        if not self.members:
            return (self,)
        return tuple(leaf for member in self.members for leaf in member.leaves)

    def alone(self, module: nn.Module) -> Stage:
        """The stage that scores it, reading its own form of the image; nothing of it learns."""
        stage = replace(plain(module), name=f"{self.role} alone", updates=(), only_scored=True)
        return self._reading(stage)

    def stage(self, module: nn.Module, teacher: nn.Module | None = None) -> Stage:
        """How it is trained: alone or by its method."""
        method = self.section.method
        if method is None:
            stage = replace(plain(module), name=f"{self.role} alone")
            return self._reading(self._learning(stage, module))
        if teacher is None or self.teacher is None:
            stage = find_method(method.name).stage(module, **method.settings())
        else:
            stage = find_method(method.name).stage(module, teacher, **method.settings())
            stage = reading(stage.with_inputs(self.reads), "teacher", self.teacher.input)
        return self._reading(self._learning(stage, module))

    def trained_on(self, data: JobData) -> JobData:
        """What it learns from: rows, augmentation and labelled term of its own, if it has any."""
        return replace(data.of_teacher(self.section.data), task=self.task)

    def _learning(self, stage: Stage, module: nn.Module) -> Stage:
        """The stage with what does not learn, and what learns at a share of the rate."""
        stage = stage.freeze("student", self.section.frozen)
        return self.network.slowed(stage, "student", module)

    def _reading(self, stage: Stage) -> Stage:
        stage = stage.with_inputs(self.reads).known_as("student", self.role)
        stage = stage.headed("student", self.section.head_now).with_task(self.task)
        return reading(stage, "student", self.input)

    def input_settings(self) -> dict[str, Any]:
        """What a fingerprint must know of its own input, or its members'; empty without any."""
        if self.members:
            each = [member.input_settings() for member in self.members]
            return {"members": each} if any(each) else {}
        section = self.section.input
        return {"teacher_input": section.identity} if section else {}

    def identity(self, module: nn.Module) -> str:
        """The weights, and the code where these do not say what they are for."""
        return "-".join([weights_fingerprint(module, who=self.role), *self._codes(module)])

    def _codes(self, module: nn.Module) -> list[str]:
        if not isinstance(module, Ensemble) or not self.members:
            return list(self.network.code(module).values())
        codes = []
        for member, part in zip(self.members, module.members, strict=True):
            codes += member._codes(member.inside(part))
        return codes


def make_teacher(
    section: TeacherSection,
    data: JobData,
    source: Any = None,
    *,
    allow_imports: bool = False,
    role: str = "teacher",
    depth: int = 1,
) -> Teacher:
    """A teacher and all that it comes from.

    ``source``: its module or a function that makes it, or `TeacherObjects`.

    Raises:
        RecipeError: it comes trained and the recipe says how it is to be trained; or it waits for a
            value on validation that cannot come.
    """
    given = source if isinstance(source, TeacherObjects) else TeacherObjects(source)

    def before(
        inner: TeacherSection | None, role: str, objects: TeacherObjects | None = None
    ) -> Teacher | None:
        if inner is None:
            return None
        return make_teacher(
            inner, data, objects, allow_imports=allow_imports, role=role, depth=depth + 1
        )

    network = make_network(section, data, given.model, allow_imports=allow_imports)
    if section.members and given.model is None:
        objects = given.members or (None,) * len(section.members)
        found = [
            before(member, f"{role} {at}", own)
            for at, (member, own) in enumerate(zip(section.members, objects, strict=True), start=1)
        ]
        members = tuple(member for member in found if member is not None)
        return Teacher(
            section,
            network,
            role,
            depth,
            members=members,
            task=data.task,
            reads=data.reads("teacher"),
        )
    asked = asked_of_training(section)
    if network.given and asked:
        said = f"'{section.model}' comes trained, so {asked[0]} says nothing; leave it out"
        raise RecipeError(role, [said])
    if section.centres and not network.given:
        said = "centres are of a network that comes trained, and this one is trained here with a "
        said += "classifier of its own; leave centres out, or give weights"
        raise RecipeError(role, [said])
    if section.classes is not None and not network.given:
        said = "it is trained here, so its outputs are in the order of the data; leave classes out"
        raise RecipeError(role, [said])
    if section.dtype is not None and not network.given:
        said = "it is trained here, in the precision of the run; dtype is of a teacher that comes "
        raise RecipeError(role, [f"{said}trained: leave it out, or give weights"])
    if section.patience is not None and not data.validation:
        raise RecipeError(f"{role}.patience", [NO_VALIDATION])
    if section.until is not None and section.until.metric is not None:
        objection = section.until.objection(data.task.metric)
        if objection is None and not data.validation:
            read = f"until.{section.until.metric} is read from validation data"
            objection = f"{read}; give data.validation, or until.epoch"
        if objection is not None:
            raise RecipeError(role, [objection])
    return Teacher(
        section,
        network,
        role,
        depth,
        make_input(section, data),
        before(section.head, "temporary" if depth == 1 else f"{role}'s head", given.head),
        before(section.teacher, f"{role}'s teacher", given.teacher),
        task=adjusted_task(data.task, section, data.of_teacher(section.data).splits, who=role),
        reads=data.reads("teacher"),
    )
