"""TH-KD: the teacher's classifier, frozen, also judges the student's embedding."""

from collections.abc import Callable, Mapping
from typing import Literal

from torch import nn

from stillhouse.bridges.heads import match_width, mixture
from stillhouse.bridges.inference import MixtureHead, joined, with_head
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional import cross_entropy, kl
from stillhouse.methods import settings
from stillhouse.methods.roles import as_teacher

SHARED = "teacher_head"


@settings.checked
def th_kd(
    student: nn.Module,
    teacher: nn.Module | Role,
    *,
    form: Literal["code", "paper"] = "code",
    alpha: settings.Share = 0.013,
    temperature: settings.Positive = 4.0,
    weight: settings.Weight = 1.52,
    label_weight: settings.Weight = 1.0,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Teacher-head distillation: ``p_s^TH = softmax(W_t z_s + b_t)`` with W_t, b_t frozen.

    code form, what the released code optimises::

        label_weight * CE(p_s, y) + weight * ((1 - alpha) KL(p_t, p_s) + alpha KL(p_t, p_s^TH))

    paper form, equations 1 and 2, where the labels go through both heads too::

        label_weight * ((1 - alpha) CE(p_s, y) + alpha CE(p_s^TH, y))
          + weight * ((1 - alpha) KL(p_t, p_s) + alpha KL(p_t, p_s^TH))

    Each KL at the temperature, times its square. Three ways of inference are measured: the
    student's own head, the teacher's head, and their mixture ``(1 - alpha) p_s + alpha p_s^TH``.

    Args:
        student: the learner; its embedding is the input of its head.
        teacher: frozen; a model, or a Role called 'teacher'.
        form: 'code' (the default: the only settings that the authors released) or 'paper'.
        alpha: share of the teacher's head, in 0..1. 0.013 and weight 1.52: the released weights
            1.5 and 0.02 of the two KL terms (resnet32x4 -> resnet8x4), added and divided.
            At 1 in the paper form the own head learns nothing: 'teacher head' is judged then.
        temperature: T > 0. 4.0: the released code, both heads.
        weight: of both KL terms together.
        label_weight: of the cross-entropy. 1.0: the released code.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student with its own head; the bridge 'matched' is no part of it. Its
        products give the other two inferences, the bridge folded into the teacher's head.

    Raises:
        RecipeError: a setting is out of its range, or no such form.
        WiringError: the teacher's role has another name, or a head is named for a role.
        ModelError: the teacher has no Linear that could be its head, and none is named.

    Paper: It's All in the Head 2022, arXiv 2201.06945: "It's All in the Head: Representation
        Knowledge Distillation through Classifier Sharing", equations 1 and 2.

    Differs from the authors' code: (1) the paper form is not in it, the code form is: no
        cross-entropy through the teacher's head, and two weights of their own, of which 0.013 and
        1.52 give 1.5002 and 0.0198 in place of 1.5 and 0.02. (2) Widths may differ: a linear
        bridge, trained with the student, then brings the embedding to the teacher's width (our
        extension; the code stops there). With equal widths nothing is added. (3) All three
        inferences are measured, the mixture by the alpha of the loss; there it has a weight of its
        own, by default 0, that is the student's head alone. (4) The student is kept without a
        wrapper around it.

    >>> stage = th_kd(nn.Linear(4, 2), nn.Linear(4, 2), student_head="", head="", alpha=0.5)
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('kd', 0.76), ('kd_teacher_head', 0.76)]
    """
    role = as_teacher(teacher, head)
    if not isinstance(role, Role) or role.name != "teacher":
        raise WiringError(
            "th_kd", [f"the teacher's role must be called 'teacher', not {role.name!r}"]
        )
    learner = Role("student", student, head=student_head)
    matched = Bridge.sized(
        "matched",
        match_width,
        "student.embedding",
        by=["student.embedding", "teacher.embedding"],
    )
    return Stage(
        "th_kd",
        nodes=[
            learner,
            role,
            matched,
            Bridge(SHARED, role.head_module(), "matched"),
            Bridge("mixture", mixture(alpha), ["student.logits", SHARED]),
        ],
        updates=[
            Update(
                learns=["student", "matched"],
                terms=_terms(form, alpha, temperature, weight, label_weight),
            )
        ],
        measures=_inferences(form, alpha),
        products=_products(learner, matched, role, alpha),
    )


def _inferences(form: str, alpha: float) -> dict[str, str]:
    """Own head, teacher's head, mixture; the one that is judged first.

    At alpha 1 in the paper form nothing trains the student's own head: then it comes last.
    """
    others = {"teacher head": SHARED, "mixture": "mixture"}
    own = {"own head": "student.logits"}
    untrained = form == "paper" and alpha == 1.0
    return {**others, **own} if untrained else {**own, **others}


def _products(
    student: Role, matched: Bridge, teacher: Role, alpha: float
) -> Mapping[str, Callable[[], nn.Module]]:
    """The student with the teacher's head, and with both heads, each a model by itself."""

    def other() -> nn.Module:
        if matched.module is None:
            raise WiringError("th_kd", ["the bridge 'matched' was not sized yet; train the stage"])
        return joined(matched.module, teacher.head_module())

    def mixed() -> nn.Module:
        both = MixtureHead(student.head_module(), other(), alpha)
        return with_head(student.module, student.head, both)

    return {
        "teacher head": lambda: with_head(student.module, student.head, other()),
        "mixture": mixed,
    }


def _terms(
    form: str, alpha: float, temperature: float, weight: float, label_weight: float
) -> list[Term]:
    """The terms of either form; a term of weight 0 still runs, so that metrics show it."""
    hard = {"own": label_weight, "shared": 0.0}
    if form == "paper":
        hard = {"own": label_weight * (1 - alpha), "shared": label_weight * alpha}
    soft = {"temperature": temperature}
    terms = [
        Term("label", cross_entropy, ["student.logits", "batch.label"], weight=hard["own"]),
        Term(
            "kd",
            kl,
            ["student.logits", "teacher.logits"],
            weight=weight * (1 - alpha),
            options=soft,
        ),
        Term(
            "kd_teacher_head", kl, [SHARED, "teacher.logits"], weight=weight * alpha, options=soft
        ),
    ]
    if form == "paper":
        terms.append(
            Term(
                "label_teacher_head", cross_entropy, [SHARED, "batch.label"], weight=hard["shared"]
            )
        )
    return terms
