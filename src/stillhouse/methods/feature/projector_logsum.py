"""The projector recipe: embeddings are matched after a linear map, batch norm and a LogSum."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge
from torch import Size, nn

from stillhouse.bridges.normalisation import Normalisation, normaliser
from stillhouse.bridges.projectors import Projector
from stillhouse.bridges.projectors import projector as make_projector
from stillhouse.diagnostics.projector import end_diagnostics, spectrum_diagnostics
from stillhouse.engine.diagnostics import Diagnostic
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError, WiringError
from stillhouse.functional import kl, log_correlation, log_sum, mse, smooth_l1
from stillhouse.methods.maps import projected_maps
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Positive, Weight, checked
from stillhouse.models.detectors import is_detector
from stillhouse.pairing import Pair, Pairs, paired

Power = Annotated[float, Ge(1)]
DISTANCES: Mapping[str, tuple[Callable[..., Any], str | None]] = {
    "l2": (mse, None),
    "smooth_l1": (smooth_l1, None),
    "log_sum": (log_sum, "alpha"),
    "log_correlation": (log_correlation, "power"),
}
"""Of each distance the formula, and how it calls alpha."""
UNIT_VARIANCE = ("batch", "whiten")
MAP = 4
"""Dimensions of a feature map, [B, C, H, W]."""


@checked
def projector_logsum(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    projector: Literal["none", "linear", "mlp2", "mlp3", "conv1x1"] = "linear",
    normalise: Literal["none", "l2", "batch", "group", "whiten"] = "batch",
    distance: Literal["l2", "smooth_l1", "log_sum", "log_correlation"] = "log_sum",
    alpha: Power = 4.0,
    weight: Weight = 2.0,
    label_weight: Weight = 1.0,
    kd_weight: Weight = 1.0,
    temperature: Positive = 1.0,
    student_feature: str = EMBEDDING,
    teacher_feature: str = EMBEDDING,
    pairs: Pairs | None = None,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Projector and LogSum: ``ln sum |N(P z_s) - N(z_t)|^alpha`` beside labels and soft classes.

    ``label_weight * CE(p_s, y) + weight * D(N(P z_s), N(z_t)) + kd_weight * T^2 KL(p_t^T, p_s^T)``
    on features z, by default the inputs of the two heads. P is the projector and N a normalisation
    without parameters. P learns with the student, by its optimiser, and is no part of what is kept.
    Of pairs of maps the sum over all of them counts, each with a P of its own.

    Args:
        student: the learner; its embedding is the input of its head.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.embedding', and
            'teacher.logits' unless kd_weight is 0.
        projector: 'linear' (the released recipe), 'none' for equal widths, an MLP of 2 or 3 layers,
            or 'conv1x1' between feature maps of one size; see `stillhouse.bridges.projector`.
        normalise: 'batch' (the released recipe: statistics of the batch on both sides), 'none',
            'l2', 'group' or 'whiten'; see `stillhouse.bridges.normaliser`.
        distance: 'log_sum' (the released ImageNet recipe), 'log_correlation' (the released DeiT
            recipe; after 'batch' or 'whiten' only), 'l2' (the mean squared error) or 'smooth_l1'.
            Their sizes differ: tune the weight of each before you compare them.
        alpha: power of the two logarithmic distances, at least 1. 4.0: both released recipes.
        weight: of the distance. 2.0: the released ImageNet recipe (DeiT: 1.0).
        label_weight: of the cross-entropy. 1.0: the released recipes.
        kd_weight: of the KL. 1.0: the same. 0 leaves the KL out: no teacher logits are needed.
        temperature: T > 0 of the KL. 1.0: the same; not the 4 that is custom on CIFAR-100.
        student_feature, teacher_feature: what is matched: 'embedding' (the released recipe), or a
            tap such as 'layer3' that gives [B, D] or a map [B, C, H, W].
        pairs: maps that belong together, in place of one feature: 'levels', 'auto' or taps by name,
            see `stillhouse.pairing.propose`; of detectors 'levels' where nothing is said. Then P is
            a 1x1 convolution ('linear' at each position), and the student's map is brought to the
            size of the teacher's.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student; the bridge 'projected' ('projected1', ... of pairs) learns
        with it and is dropped. Its diagnostics say what the projector does: see
        `stillhouse.diagnostics.projector`; of pairs there are none.

    Raises:
        RecipeError: a setting is out of its range, the distance does not fit the normalisation, or
            pairs and a feature or another projector are named together.
        WiringError: a head is named for a teacher that comes as a node; or, when the stage is
            wired, the projector does not fit the features: 'none' meets widths that differ, or a
            projector of vectors meets maps.
        ModelError: no module of that name is there to be the head; or, when the stage is wired,
            none is named and the model has no Linear.

    Paper: Understanding the Role of the Projector 2023, arXiv 2303.11098: "Understanding the Role
        of the Projector in Knowledge Distillation".

    Differs from the authors' code: an epsilon inside the logarithm; dead channels and batches of
        one give zeros, not nan. Its first release left the projector out of the optimiser; here it
        learns, under the student's weight decay, as in its present form.

    >>> stage = projector_logsum(nn.Linear(4, 2), nn.Linear(6, 2), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('feature', 2.0), ('kd', 1.0)]
    """
    _check(normalise, distance)
    formula, power = DISTANCES[distance]
    options = {power: alpha} if power else {}
    plain = (student_feature, teacher_feature) == (EMBEDDING, EMBEDDING)
    if pairs is None and plain and is_detector(student):
        pairs = "levels"
    terms = [label_term(label_weight)]
    if pairs is None:
        both = ["projected", "target"]
        terms.append(Term("feature", formula, both, weight=weight, options=options))
    if kd_weight:
        soft = {"temperature": temperature}
        both = ["student.logits", "teacher.logits"]
        terms.append(Term("kd", kl, both, weight=kd_weight, options=soft))
    nodes = [as_role("student", student, student_head), as_teacher(teacher, head)]
    if pairs is not None:
        if not plain or projector not in ("linear", "conv1x1") or distance == "log_correlation":
            said = "pairs are of maps: leave student_feature and teacher_feature out, and take "
            said += (
                "projector 'linear' (at each position) and another distance than log_correlation"
            )
            raise RecipeError("method 'projector_logsum'", [said])

        def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
            return projected_maps(stage, found, normalise, Term("feature", formula, [], **weighed))

        weighed: dict[str, Any] = {"weight": weight, "options": options}
        weighed["pooled"] = distance == "log_sum"
        return paired(Stage("projector_logsum", nodes, [Update("student", terms)]), pairs, add)
    mine, theirs = f"student.{student_feature}", f"teacher.{teacher_feature}"
    projected = Bridge.sized(
        "projected", _projection(projector, normalise, distance), mine, by=[mine, theirs]
    )
    return Stage(
        "projector_logsum",
        nodes=[
            *nodes,
            projected,
            Bridge.sized("target", lambda t: normaliser(normalise, t[1]), theirs, by=theirs),
        ],
        updates=[Update(learns=["student", "projected"], terms=terms)],
        diagnostics=_diagnostics(projector, projected, mine),
    )


def _diagnostics(kind: Projector, projected: Bridge, feature: str) -> list[Diagnostic]:
    """What the projector does, before the normalisation; nothing where there is none."""

    def module() -> nn.Module:
        if projected.module is None:
            raise WiringError("projector_logsum", ["'projected' has no size yet; open the stage"])
        return projected.module.get_submodule("projector")

    if kind == "none":
        return []
    if kind == "conv1x1":
        return spectrum_diagnostics(
            module
        )  # both ends of a map, at every position, are too many numbers
    ends = end_diagnostics(module, feature)
    return [*spectrum_diagnostics(module), *ends] if kind == "linear" else ends


def _projection(
    kind: Projector, normalise: Normalisation, distance: str
) -> Callable[[Size, Size], nn.Module]:
    def build(mine: Size, theirs: Size) -> nn.Module:
        problem = _misfit(kind, distance, mine, theirs)
        if problem:
            raise WiringError(f"projector '{kind}'", [problem])
        parts = [
            ("projector", make_projector(kind, mine[1], theirs[1])),
            ("normaliser", normaliser(normalise, theirs[1])),
        ]
        return nn.Sequential(OrderedDict(parts))

    return build


def _misfit(kind: str, distance: str, mine: Size, theirs: Size) -> str | None:
    """Why a projector cannot bring one feature to the other; None when it can."""
    shapes = f"the student's feature is {list(mine)}, the teacher's {list(theirs)}"
    if len(mine) != len(theirs) or len(mine) not in (2, MAP) or mine[2:] != theirs[2:]:
        return f"{shapes}; take two vectors [B, D], or two maps [B, C, H, W] of one size"
    if len(mine) == MAP and kind not in ("none", "conv1x1"):
        return f"{shapes}, which are maps; take projector 'conv1x1'"
    if len(mine) != MAP and kind == "conv1x1":
        return f"{shapes}, which are no maps; take projector 'linear'"
    if len(mine) == MAP and distance == "log_correlation":
        return f"{shapes}; distance 'log_correlation' is of vectors, take 'log_sum'"
    return None


def _check(normalise: str, distance: str) -> None:
    if distance == "log_correlation" and normalise not in UNIT_VARIANCE:
        raise RecipeError(
            "method 'projector_logsum'",
            [
                f"distance 'log_correlation' compares features of variance 1, and normalise is "
                f"'{normalise}'; choose 'batch' or 'whiten', or distance 'log_sum'"
            ],
        )
