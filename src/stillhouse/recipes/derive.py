"""A student that is made out of its teacher: ``student: {derive: low_rank, ratio: 0.5}``."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from stillhouse.engine.settings import Count
from stillhouse.recipes.networks import Frozen, StudentSection, TeacherSection, short
from stillhouse.recipes.section import Section, Share
from stillhouse.students.k_means import BITS
from stillhouse.students.low_rank import Scheme

Part = Annotated[float, Field(gt=0, lt=1)]
"""A share of something that is made smaller."""

Start = Literal["teacher", "scratch"]

CODEBOOK_SCALE = 0.01
"""Of the learning rate, for codebooks: at the whole rate students of digits fell to chance, at a
hundredth none did (docs/evidence/students.md)."""


class DerivedSection(Section):
    """What all derivations share.

    ``head``, ``frozen``: as of a student by name; its control always learns its own classifier,
    from where it starts.
    """

    derive: str
    head: Literal["own", "shared", "copied"] = "own"
    frozen: Frozen = ()

    @property
    def model(self) -> str:
        """What it is called in titles and tables.

        >>> LowRankSection(derive="low_rank", energy=0.9).model
        'low_rank energy 0.9'
        """
        told = self.model_dump(
            mode="json", exclude_defaults=True, exclude={"derive", "head", "frozen"}
        )
        ratio = [f"{told.pop('ratio')}"] if "ratio" in told else []
        return " ".join([self.derive, *ratio, *(f"{key} {value}" for key, value in told.items())])

    @property
    def settled(self) -> bool:
        """Whether its shape is known before the teacher is trained."""
        return True


class RebuiltSection(DerivedSection):
    """The teacher's own network, rebuilt.

    ``start``: from the teacher's weights, as far as they fit, or from scratch, under the student's
    seed. ``keep``: paths of layers that stay as they are; None: what the derivation keeps.
    """

    start: Start = "teacher"
    keep: tuple[str, ...] | None = None


class LowRankSection(RebuiltSection):
    """Linear layers and convolutions as products of thinner ones; one of three says how far."""

    derive: Literal["low_rank"]
    rank: Count | None = None
    ratio: Part | None = None
    energy: Share | None = None
    scheme: Scheme = "channel"

    @model_validator(mode="after")
    def _one(self) -> "LowRankSection":
        given = [key for key in ("rank", "ratio", "energy") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                "say one: rank: 16, ratio: 0.5 (of each layer's weights) or energy: 0.9 (of its "
                f"squared singular values); got {' and '.join(given) or 'none'}"
            )
        return self

    @property
    def settled(self) -> bool:
        """An energy is one of the weights that the teacher has learnt."""
        return self.energy is None


class DepthwiseSection(RebuiltSection):
    """Convolutions as depthwise and pointwise ones."""

    derive: Literal["depthwise"]


class PruneSection(RebuiltSection):
    """Fewer channels; ``ratio``: the share of them that stays. Needs torch-pruning."""

    derive: Literal["prune"]
    ratio: Part


class SharedSection(RebuiltSection):
    """Weights shared through a codebook per layer.

    ``bits``: of the index of a weight. ``lr_scale``: codebooks learn at this share of the learning
    rate, for the gradient of an entry is the sum of those of all its weights; the rest at the
    whole. It starts from the teacher's weights: random ones have no groups that are worth keeping.
    """

    derive: Literal["shared"]
    bits: Annotated[int, Field(ge=BITS[0], le=BITS[-1])]
    lr_scale: Share = CODEBOOK_SCALE
    start: Literal["teacher"] = "teacher"


class ThinnerSection(DerivedSection):
    """A smaller network of the teacher's family; ``ratio``: the share of parameters it may have."""

    derive: Literal["thinner"]
    ratio: Part


def _kind(value: Any) -> str:
    """Which section a student is: by its derivation, else by a model's name."""
    asked = value.get("derive") if isinstance(value, dict) else getattr(value, "derive", None)
    return "model" if asked is None else str(asked)


Student = Annotated[
    Annotated[StudentSection, Tag("model")]
    | Annotated[LowRankSection, Tag("low_rank")]
    | Annotated[DepthwiseSection, Tag("depthwise")]
    | Annotated[PruneSection, Tag("prune")]
    | Annotated[SharedSection, Tag("shared")]
    | Annotated[ThinnerSection, Tag("thinner")],
    Discriminator(_kind),
    short("model"),
]


def objection(
    student: StudentSection | DerivedSection, teacher: TeacherSection | None
) -> str | None:
    """Why a student cannot be made out of this teacher; None when it can, or has a name."""
    if not isinstance(student, DerivedSection):
        return None
    if teacher is None:
        return (
            f"student.derive: {student.derive} makes the student out of the teacher, and there is "
            "none; add teacher: MODEL ('stillhouse ls models' lists them)"
        )
    if teacher.members:
        return (
            f"student.derive: {student.derive} rebuilds one network, and the teacher is an "
            "ensemble of several; name a model, or give one teacher"
        )
    if teacher.input is not None and not isinstance(student, ThinnerSection):
        return (
            f"student.derive: {student.derive} rebuilds the teacher's own layers, and the teacher "
            "takes another form of the image (teacher.input); leave input out, name a model, or "
            "take derive: thinner"
        )
    return None
