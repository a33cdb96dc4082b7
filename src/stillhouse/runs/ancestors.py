"""Networks that are trained before the student: its teacher, and whoever that comes from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import nn

from stillhouse.bridges import InputAdapter
from stillhouse.engine.nodes import Bridge
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.errors import RecipeError
from stillhouse.methods import find_method, plain
from stillhouse.models import Ensemble, weights_fingerprint
from stillhouse.recipes.networks import (
    GENERATION,
    TeacherSection,
    asked_of_training,
    each_student_its_own,
)
from stillhouse.runs.feeds import Feeds
from stillhouse.runs.heads import check_kept, head_fingerprint, take_head
from stillhouse.runs.networks import Network, make_input, make_network
from stillhouse.runs.stage_run import StageRun

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation


@dataclass(frozen=True)
class Ancestor:
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
    """

    section: TeacherSection
    network: Network
    role: str = "teacher"
    depth: int = 1
    input: InputAdapter | None = None
    head: "Ancestor | None" = None
    teacher: "Ancestor | None" = None
    members: "tuple[Ancestor, ...]" = ()

    @property
    def given(self) -> bool:
        """Whether it comes trained."""
        if self.members:
            return all(member.given for member in self.members)
        return self.network.given

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
        """The ensemble of its members' modules, each behind its own form of the image."""
        inputs = [member.input for member in self.members]
        return Ensemble(
            [
                module if adapter is None else nn.Sequential(adapter, module)
                for adapter, module in zip(inputs, modules, strict=True)
            ]
        ).eval()

    def stage(self, module: nn.Module, teacher: nn.Module | None = None) -> Stage:
        """How it is trained (or evaluated): alone or by its method, reading its own image."""
        method = self.section.method
        if method is None:
            stage = replace(plain(module), name=f"{self.role} alone")
        elif teacher is None or self.teacher is None:
            stage = find_method(method.name).build(module, **method.settings())
        else:
            stage = find_method(method.name).build(module, teacher, **method.settings())
            stage = reading(stage, "teacher", self.teacher.input)
        stage = stage.headed("student", self.section.head_path)
        return reading(stage, "student", self.input)

    def input_settings(self) -> dict[str, Any]:
        """What a fingerprint must know of its own input, or its members'; empty without any."""
        if self.members:
            each = [member.input_settings() for member in self.members]
            return {"members": each} if any(each) else {}
        section = self.section.input
        return {"teacher_input": section.model_dump()} if section else {}

    def identity(self, module: nn.Module) -> str:
        """The weights, and the code where these do not say what they are for."""
        return "-".join([weights_fingerprint(module), *self._codes(module)])

    def _codes(self, module: nn.Module) -> list[str]:
        if not isinstance(module, Ensemble) or not self.members:
            return list(self.network.code(module).values())
        codes = []
        for member, part in zip(self.members, module.members, strict=True):
            # Behind its own form of the image, as `together` put it.
            inner = part[-1] if isinstance(part, nn.Sequential) and member.input else part
            codes += member._codes(inner)
        return codes


def reading(stage: Stage, role: str, adapter: InputAdapter | None) -> Stage:
    """The stage with a role that reads its own form of the image."""
    if adapter is None:
        return stage
    return stage.through(role, Bridge(f"{role}_image", adapter, "batch.image"))


def make_ancestor(
    section: TeacherSection,
    feeds: Feeds,
    source: Any = None,
    *,
    allow_imports: bool = False,
    role: str = "teacher",
    depth: int = 1,
) -> Ancestor:
    """A teacher and all that it comes from; only itself can be given as an object.

    Raises:
        RecipeError: it comes trained and the recipe says how it is to be trained; or it waits for a
            validation accuracy and there are no validation data.
    """

    def before(inner: TeacherSection | None, role: str) -> Ancestor | None:
        if inner is None:
            return None
        return make_ancestor(inner, feeds, allow_imports=allow_imports, role=role, depth=depth + 1)

    network = make_network(section, feeds, source, allow_imports=allow_imports)
    if section.members and source is None:
        found = [
            before(member, f"{role} {at}") for at, member in enumerate(section.members, start=1)
        ]
        members = tuple(member for member in found if member is not None)
        return Ancestor(section, network, role, depth, members=members)
    asked = asked_of_training(section)
    if network.given and asked:
        said = f"'{section.model}' comes trained, so {asked[0]} says nothing; leave it out"
        raise RecipeError(role, [said])
    if section.until is not None and section.until.accuracy is not None and not feeds.validation:
        said = "until.accuracy is read from validation data; give data.validation, or until.epoch"
        raise RecipeError(role, [said])
    return Ancestor(
        section,
        network,
        role,
        depth,
        make_input(section, feeds),
        before(section.head, "temporary" if depth == 1 else f"{role}'s head"),
        before(section.teacher, f"{role}'s teacher"),
    )


@dataclass(frozen=True)
class Trained:
    """An ancestor that is ready to be learnt from."""

    ancestor: Ancestor
    seed: int
    module: nn.Module
    run: StageRun | None


@dataclass
class Ancestry:
    """Trains ancestors, each once; ``all`` are those that were asked for so far."""

    job: "Distillation"
    known: dict[tuple[int, int], Trained] = field(default_factory=dict)

    def trained(self, ancestor: Ancestor, student_seed: int) -> Trained:
        """An ancestor of the student of this seed, given, found or trained, in eval mode."""
        own = ancestor.seed_for(student_seed)
        # Its own ancestors may differ by student although its own seed does not.
        key = (id(ancestor), student_seed if each_student_its_own(ancestor.section) else own)
        if key not in self.known:
            if ancestor.members:
                modules = [self.trained(each, student_seed).module for each in ancestor.members]
                together = ancestor.together(modules)
                self.known[key] = Trained(ancestor, own, together, None)
                return self.known[key]
            before = [
                None if other is None else self.trained(other, student_seed)
                for other in (ancestor.head, ancestor.teacher)
            ]
            self.known[key] = self._train(ancestor, student_seed, *before)
        return self.known[key]

    def all_trained(self) -> list[Trained]:
        """Those that were asked for so far: the teacher's first, each kind in order of students."""
        roles = [each.role for each in family(self.job.teacher)]
        return sorted(self.known.values(), key=lambda one: roles.index(one.ancestor.role))

    def _train(
        self, ancestor: Ancestor, student_seed: int, head: Trained | None, teacher: Trained | None
    ) -> Trained:
        seed = ancestor.seed_for(student_seed)
        module = ancestor.make(student_seed)
        if ancestor.given:
            return Trained(ancestor, seed, module, None)
        stage, more = self.stage(ancestor, module, head, teacher)
        job, section = self.job, ancestor.section
        settings = self._settings(ancestor, seed)
        identity = job.identity("teacher", settings, ancestor.network, start=module, **more)
        run = job.train_alone(ancestor.role, ancestor.network, settings, identity, stage)
        module.load_state_dict(run.weights("last")["student"])
        if section.head is not None and head is not None:
            check_kept(module, section, head.module, head.ancestor.section)
        return Trained(ancestor, seed, module.eval(), run)

    def stage(
        self, ancestor: Ancestor, module: nn.Module, head: Trained | None, teacher: Trained | None
    ) -> tuple[Stage, dict[str, Any]]:
        """Its stage, with the classifier that it takes over; and what its identity must know."""
        more: dict[str, Any] = ancestor.input_settings()
        stage = ancestor.stage(module, None if teacher is None else teacher.module)
        if head is not None:
            path = take_head(module, ancestor.section, head.module, head.ancestor.section)
            stage = stage.freeze("student", [path])
            more["head"] = head_fingerprint(head.module, head.ancestor.section)
        if ancestor.section.method is not None:
            more["method"] = ancestor.section.method.model_dump()
        if teacher is not None:
            more["teacher"] = teacher.ancestor.identity(teacher.module)
            more["teacher's input"] = teacher.ancestor.input_settings()
        return stage, more

    def _settings(self, ancestor: Ancestor, seed: int) -> Settings:
        # 'compile: auto' asks what is best for the student.
        recipe, until = self.job.recipe, ancestor.section.until
        settings = self.job.settings(seed, ancestor.section.epochs, compile=recipe.compile is True)
        if until is None:
            return settings
        return replace(settings, until_epoch=until.epoch, until_metric=until.accuracy)

    def untrained(self, ancestor: Ancestor) -> Iterator[tuple[Ancestor, Stage]]:
        """The stage of each ancestor on networks that are not trained yet, to be checked."""
        if ancestor.members:
            for member in ancestor.members:
                yield from self.untrained(member)
            return
        before: dict[str, Trained | None] = {}
        seed = self.job.recipe.seeds[0]
        for name, other in (("head", ancestor.head), ("teacher", ancestor.teacher)):
            before[name] = None
            if other is not None:
                yield from self.untrained(other)
                before[name] = Trained(other, other.seed_for(seed), other.make(seed), None)
        module = ancestor.make(seed)
        yield ancestor, self.stage(ancestor, module, before["head"], before["teacher"])[0]


def family(ancestor: Ancestor | None) -> list[Ancestor]:
    """A teacher and all that it comes from, itself first."""
    if ancestor is None:
        return []
    inner = [each for member in ancestor.members for each in family(member)]
    return [ancestor, *inner, *family(ancestor.head), *family(ancestor.teacher)]
