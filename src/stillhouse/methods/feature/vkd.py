"""VkD: embeddings are matched after an orthogonal projection; the teacher's alone is normalised."""

from collections import OrderedDict
from typing import Literal

from torch import Size, nn

from stillhouse.bridges.maps import AtSize, PositionMean
from stillhouse.bridges.normalisation import GroupStatistics, Whiten
from stillhouse.bridges.orthogonal import OrthogonalProjector
from stillhouse.diagnostics.projector import end_diagnostics
from stillhouse.engine.diagnostics import Diagnostic
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.taps import AS_MAP
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional import kl, smooth_l1
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Positive, Weight, checked

VECTOR, TOKENS, MAP = 2, 3, 4


@checked
def vkd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    normalise: Literal["standardise", "whiten", "none"] = "standardise",
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
    kd_weight: Weight = 1.0,
    temperature: Positive = 1.0,
    student_feature: str = EMBEDDING,
    teacher_feature: str = EMBEDDING,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """VkD: an orthogonal projection of the student's feature is drawn to the normalised teacher's.

    ``label_weight * CE(p_s, y) + weight * huber(P z_s - N(z_t)) + kd_weight * T^2 KL(p_t^T,
    p_s^T)`` with P orthonormal at every step (`stillhouse.bridges.OrthogonalProjector`), N a
    normalisation without parameters of the teacher's side alone, and the mean over dimensions. P
    can neither rescale features nor drop a part of them, so the student itself must become like the
    teacher. P learns with the student, by its optimiser, and is no part of what is kept.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.embedding', and
            'teacher.logits' unless kd_weight is 0.
        normalise: of the teacher's feature. 'standardise' (the released classification recipe):
            each example at mean 0 and variance 1 over its dimensions, a layer norm without
            parameters; 'whiten' (the paper's for generative tasks): dimensions uncorrelated over
            the batch, which wants batches of 50 or more (`stillhouse.bridges.Whiten`); 'none'.
        weight: of the distance. 1.0: the released DeiT recipe.
        label_weight: of the cross-entropy. 1.0: the same.
        kd_weight: of the KL. 1.0: the same. 0 leaves the KL out: no teacher logits are needed.
        temperature: T > 0 of the KL. 1.0: the same.
        student_feature, teacher_feature: what is matched: 'embedding', or a tap. Of a map its mean
            over positions is; tokens become a map by ':as_map' behind the tap, which leaves class
            and distillation tokens out: 'norm:as_map' of a vision transformer of timm is the
            released recipe, its embedding the class token.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student; the bridge 'projected' learns with it and is dropped.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: a head is named for a teacher that comes as a node; or, when the stage is
            wired, a feature is neither a vector nor a map.
        ModelError: no module of that name is there to be the head; or, when the stage is wired,
            none is named and the model has no Linear.

    Paper: Miles et al. 2024 (VkD), arXiv 2403.06213: "VkD: Improving Knowledge Distillation using
        Orthogonal Projections".

    Differs from the authors' code: P is a Cayley transform, theirs PyTorch's parametrisation, which
        weight decay makes 0 where widths differ. The KL there is of a distillation token's head;
        here of the logits. Whitening is not in their repository: ours stands in its place. Their
        detector is not here: it standardises both sides over the batch.

    >>> stage = vkd(nn.Linear(4, 2), nn.Linear(6, 2), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('feature', 1.0), ('kd', 1.0)]
    """
    terms = [
        label_term(label_weight),
        Term("feature", smooth_l1, ["projected", "target"], weight=weight),
    ]
    if kd_weight:
        soft = {"temperature": temperature}
        both = ["student.logits", "teacher.logits"]
        terms.append(Term("kd", kl, both, weight=kd_weight, options=soft))
    mine, theirs = f"student.{student_feature}", f"teacher.{teacher_feature}"

    def projection(own: Size, other: Size) -> nn.Module:
        projector = OrthogonalProjector(own[1], other[1])
        return nn.Sequential(OrderedDict([*_vector(own, mine), ("projector", projector)]))

    def target(other: Size) -> nn.Module:
        parts = [*_vector(other, theirs), ("normaliser", _normaliser(normalise, other[1]))]
        return nn.Sequential(OrderedDict(parts))

    projected = Bridge.sized("projected", projection, mine, by=[mine, theirs])
    return Stage(
        "vkd",
        nodes=[
            as_role("student", student, student_head),
            as_teacher(teacher, head),
            projected,
            Bridge.sized("target", target, theirs, by=theirs),
        ],
        updates=[Update(learns=["student", "projected"], terms=terms)],
        diagnostics=_diagnostics(projected, mine, student_feature),
    )


def _normaliser(kind: str, dim: int) -> nn.Module:
    if kind == "standardise":
        return GroupStatistics(dim, groups=1)  # of one group: a layer norm without parameters
    return Whiten() if kind == "whiten" else nn.Identity()


def _vector(feature: Size, signal: str) -> list[tuple[str, nn.Module]]:
    """What makes a feature of this shape a vector, by name; nothing where it is one."""
    if len(feature) == VECTOR:
        return []
    if len(feature) == MAP:
        return [("mean", AtSize(PositionMean(), None, plain=True))]
    said = f"it is {list(feature)}; vkd matches vectors [B, D] and the means of maps [B, C, H, W]"
    if len(feature) == TOKENS and not signal.endswith(AS_MAP):
        tap = signal.partition(".")[2]
        said += f"; of tokens, name the map of their patches: '{tap}{AS_MAP}'"
    raise WiringError(f"'{signal}'", [said])


def _diagnostics(projected: Bridge, feature: str, tap: str) -> list[Diagnostic]:
    """How alike both ends of the projector are; the spectrum of an orthonormal one is all ones."""

    def module() -> nn.Module:
        if projected.module is None:
            raise WiringError("vkd", ["'projected' has no size yet; open the stage"])
        return projected.module.get_submodule("projector")

    return end_diagnostics(module, feature) if tap == EMBEDDING else []
