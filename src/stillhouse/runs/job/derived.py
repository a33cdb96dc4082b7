"""Students that are made out of their teacher: the network of a recipe's ``derive``."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.stage import Stage
from stillhouse.errors import ModelError, RecipeError
from stillhouse.models import weights_fingerprint
from stillhouse.models.given import copied, set_eval
from stillhouse.recipes.derive import (
    DepthwiseSection,
    DerivedSection,
    LowRankSection,
    PruneSection,
    RebuiltSection,
    SharedSection,
    ThinnerSection,
)
from stillhouse.recipes.networks import StudentSection, TeacherSection
from stillhouse.records.own_code import IMPORT
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.networks import Network, make_network
from stillhouse.runs.job.teacher import Teacher
from stillhouse.students import (
    DerivedModel,
    codebooks,
    depthwise,
    fresh_,
    low_rank,
    prune,
    shared,
    thinner,
)

FORM = 1
"""Of what derivations do: raised when the same settings come to give another network."""


def rebuild(
    section: RebuiltSection,
    teacher: nn.Module,
    image_shape: tuple[int, int, int],
    *,
    head: str | None = None,
    seed: int = 0,
) -> DerivedModel:
    """What a section makes of a teacher, which stays as it is; from its weights, or fresh ones.

    Args:
        section: of a recipe, or made by the command line.
        teacher: trained or not.
        image_shape: channels, height and width of its images.
        head: the path of its classifier, where that is not the last Linear.
        seed: of the fresh weights.

    Raises:
        ModelError, MissingExtra: it cannot be made.
    """
    keep = (head,) if section.keep is None and head is not None else section.keep
    if isinstance(section, LowRankSection):
        made = low_rank(
            teacher, rank=section.rank, ratio=section.ratio, energy=section.energy,
            scheme=section.scheme, keep=keep,
        )  # fmt: skip
    elif isinstance(section, PruneSection):
        first = next(teacher.parameters(), torch.zeros(()))
        image = torch.zeros(1, *image_shape, device=first.device, dtype=first.dtype)
        made = prune(teacher, image, ratio=section.ratio, keep=keep)
    elif isinstance(section, DepthwiseSection):
        made = depthwise(teacher, keep=section.keep)
    elif isinstance(section, SharedSection):
        made = shared(teacher, bits=section.bits, keep=keep)
    else:
        raise RecipeError("student", [f"nothing is known of derive: {section.derive}"])
    if section.start == "scratch":
        fresh_(made.module, seed=seed)
    _check_runs(made, section, image_shape)
    return made


def _check_runs(
    made: DerivedModel, section: RebuiltSection, image_shape: tuple[int, int, int]
) -> None:
    """A network may read the weight of a layer past the layer, which is another one now."""
    module, flags = made.module, Flags([made.module])
    first = next(module.parameters(), torch.zeros(()))
    image = torch.zeros(2, *image_shape, device=first.device, dtype=first.dtype)
    try:
        with torch.no_grad():
            set_eval(module)
            module(image)
    except Exception as error:
        changed = ", ".join(change.path for change in made.changes)
        raise ModelError(
            f"derive: what {section.model} makes does not run ({type(error).__name__}: {error}); "
            f"name the layer in keep whose weight is read directly; changed were {changed}"
        ) from error
    finally:
        flags.restore()


def check_smaller(made: DerivedModel, section: DerivedSection, teacher: str) -> None:
    """Make sure that something of a teacher became smaller.

    Raises:
        ModelError: nothing did, so the student would be the teacher.
    """
    if not made.changes:
        why = "; ".join(dict.fromkeys(kept.why for kept in made.kept)) or "it has no such layer"
        raise ModelError(
            f"derive: {section.model} makes nothing smaller of {teacher} ({why}); give a smaller "
            "ratio, or name a smaller model"
        )


@dataclass(frozen=True, kw_only=True)
class DerivedNetwork(Network):
    """A student that is made out of its teacher; until `out_of` names one, of the untrained one.

    Args:
        derive: how.
        teacher: of the job.
        image_shape: of the data.
        parent: the module that it is made out of.
        derived: what was made of it, which each start is a copy of.
    """

    derive: RebuiltSection
    teacher: Teacher
    image_shape: tuple[int, int, int]
    parent: nn.Module | None = None
    derived: DerivedModel | None = None

    def out_of(self, teacher: nn.Module | None) -> "DerivedNetwork":
        """The student of this teacher, rebuilt once; without one it stays open."""
        if teacher is None:
            return self
        made = rebuild(self.derive, teacher, self.image_shape, head=self.section.head_now)
        return replace(self, parent=teacher, derived=made)

    def make(self, seed: int) -> nn.Module:
        """A fresh student, from the teacher's weights, those of the seed or of a file."""
        if self.derived is None:
            return self.out_of(self.teacher.make(seed)).make(seed)
        made = copied(self.derived.module, who="student")
        if self.derive.start == "scratch":
            fresh_(made, seed=seed)
        self._read(made)
        return made

    def slowed(self, stage: Stage, name: str, module: nn.Module) -> Stage:
        """The stage in which codebooks learn at their share of the rate."""
        scale = self.derive.lr_scale if isinstance(self.derive, SharedSection) else 1.0
        return stage if scale == 1 else stage.slowed(name, codebooks(module), scale)

    def identity(self, seed: int, module: nn.Module | None = None) -> dict[str, Any]:
        """The teacher's weights and the settings, which decide the start.

        Not the weights that came out: the last bits of singular vectors depend on the number of
        threads, and a run must go on with another one.
        """
        parent = self.teacher.make(seed) if self.parent is None else self.parent
        weights = None
        if self.section.weights is not None:
            weights = weights_fingerprint(self.make(seed) if module is None else module)
        start = {
            "derived": self.derive.model_dump(mode="json", exclude={"head", "frozen"}),
            "form": FORM,
            "from": weights_fingerprint(parent),
            "head": self.section.head_now,
            "seed": seed if self.derive.start == "scratch" else None,
            "weights": weights,
        }
        frozen = {"frozen": list(self.section.frozen)} if self.section.frozen else {}
        return {"start": start, **self.teacher.network.code(parent), **frozen}

    @property
    def named(self) -> TeacherSection | None:
        """The teacher, where the network of its name has the student's layers; else None."""
        section, network = self.teacher.section, self.teacher.network
        own = network.source is not None or section.model.startswith(IMPORT)
        other = section.centres or section.classes is not None or section.dtype is not None
        built = isinstance(self.derive, SharedSection) and not own and not other
        return section if built else None

    def check_smaller(self, *, trained: bool) -> None:
        """Make sure that something became smaller, as far as that is known before training.

        Raises:
            ModelError: nothing did, so the student would be the teacher.
        """
        if self.derived is not None and (trained or self.derive.settled):
            check_smaller(self.derived, self.derive, self.teacher.section.model)


def make_student(
    section: StudentSection | DerivedSection,
    data: JobData,
    teacher: Teacher | None,
    source: Any = None,
    *,
    allow_imports: bool = False,
) -> Network:
    """The student of a recipe: by its name, as an object, or out of the teacher.

    Raises:
        ModelError: the teacher's family has no such smaller network.
    """
    if isinstance(section, StudentSection):
        return make_network(section, data, source, allow_imports=allow_imports)
    if teacher is None:
        raise RecipeError("student", ["derive makes it out of the teacher; add teacher: MODEL"])
    channels, height, _ = data.image_shape
    classes = data.outputs
    if isinstance(section, ThinnerSection):
        name = thinner(
            teacher.section.model, ratio=section.ratio, classes=classes, channels=channels,
            size=height,
        )  # fmt: skip
        return make_network(
            StudentSection(model=name, head=section.head, frozen=section.frozen), data
        )
    if not isinstance(section, RebuiltSection):
        raise RecipeError("student", [f"nothing is known of derive: {section.derive}"])
    named = StudentSection(
        model=f"{teacher.section.model} {section.model}",
        head=section.head,
        frozen=section.frozen,
        head_path=teacher.section.head_now,
    )
    return DerivedNetwork(
        named, classes, channels, height,
        derive=section, teacher=teacher, image_shape=data.image_shape,
    )  # fmt: skip
