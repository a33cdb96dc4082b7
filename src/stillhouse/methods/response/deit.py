"""DeiT: one head learns the labels, a second one what the teacher decides."""

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Size, Tensor, nn

from stillhouse.bridges.heads import mixture
from stillhouse.bridges.inference import MixtureHead, MixtureOfOutputs, with_head
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.signals import LOGITS
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError, WiringError
from stillhouse.functional import cross_entropy, kl
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Positive, Share, checked

PAIRS = (
    ("fc.own", "fc.distilled"),
    ("head", "head_dist"),
    ("cls_classifier", "distillation_classifier"),
    ("classifier", "classifier_distill"),
)
"""The two heads of networks that have a distillation token: this house's, the authors' (and those
of timm), and DeiT and LeViT of transformers."""

TEMPERATURE = 3.0
"""Of the soft form; the hard form has none."""

OTHER_OF_TWO = {":0": "1", ":1": "0"}
"""Of a pair whose distilled logits are named, the other one is for the labels."""

DECISION, ADDED, BOTH = "teacher_class", "distilled", "both_heads"


@checked
def deit(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    form: Literal["hard", "soft"] = "hard",
    alpha: Share = 0.5,
    temperature: Positive = TEMPERATURE,
    class_head: str | None = None,
    distilled_head: str | None = None,
    student_head: str | None = None,
) -> Stage:
    """DeiT: labels for one head of the student, the teacher's decision for another.

    With z_s of the class head and z_d of the distilled head::

        hard: (1 - alpha) CE(z_s, y) + alpha CE(z_d, argmax z_t)
        soft: (1 - alpha) CE(z_s, y) + alpha T^2 KL(p_t^T, p_d^T)

    Which heads there are depends on the student. One with a distillation token (`deit-192-6-3` and
    its like, and those of timm) has both, and its logits are their mean: nothing is named, nothing
    added. One that returns two tensors names the second: ``distilled_head: ":1"`` of a tuple,
    ``":distilled"`` of a mapping. Any other gets a second Linear on its embedding, the bridge
    'distilled', which is no part of the bare student.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.logits'.
        form: 'hard' (the default: the paper's own) or 'soft'.
        alpha: of the teacher's part; the labels get 1 - alpha. 0.5: the paper's hard form, and the
            released code for both. The paper's soft form has 0.1 (not checked against it).
        temperature: T > 0, in the soft form only. 3.0: the paper (not checked against it); the
            released code has 1.0 unless told otherwise.
        class_head, distilled_head: signals of the student that hold the two logits: a tap such as
            'head_dist', or an output such as ':1'. None: those of a known distillation token, else
            the student's logits and a second head that is added. Of a known pair the second alone
            names both.
        student_head: path of the classifier, beside which a head is added; found when not named.

    Returns:
        A stage that keeps the student. Where its own logits are not both heads together, the mean
        of both softmaxes (the paper's inference) is measured and a product, and so is the distilled
        head when it was added.

    Raises:
        RecipeError: a setting is out of its range, no such form, a temperature in the hard form, or
            a class head without a distilled head.
        ModelError: no module of that name is there to be the head; or, when the stage is wired,
            none is named and the model has no Linear.

    Paper: Touvron et al. 2021, arXiv 2012.12877: "Training data-efficient image transformers &
        distillation through attention".

    Differs from the authors' code: (1) there the soft form is divided by the number of classes too
        (issue 116): their alpha there is not this alpha. (2) Labels there come from mixup and are
        smoothed. (3) There only a student with a distillation token learns so; the added head is
        our extension. (4) With a distillation token the logits of inference are the mean of the
        heads' logits, as there; the paper's mean of softmaxes is for students without one.

    >>> stage = deit(nn.Linear(4, 2), nn.Linear(4, 2), student_head="", alpha=0.25)
    >>> [(term.name, term.weight, term.reads[0]) for term in stage.terms()]
    [('label', 0.75, 'student.logits'), ('decision', 0.25, 'distilled')]
    """
    if form == "hard" and temperature != TEMPERATURE:
        said = f"temperature is {temperature}, but the hard form has none"
        raise RecipeError("method 'deit'", [f"{said}; leave it out, or use form 'soft'"])
    own, other = _heads(student, class_head, distilled_head)
    label, taught = f"student.{own}", ADDED if other is None else f"student.{other}"
    role = as_role("student", student, student_head)
    if class_head is None and distilled_head in OTHER_OF_TWO:
        role.output = OTHER_OF_TWO[distilled_head]
    nodes: list[Node] = [role, as_teacher(teacher), Bridge(BOTH, mixture(0.5), [label, taught])]
    learns = ["student"]
    added = Bridge.sized(
        ADDED, second_head, "student.embedding", by=["student.embedding", "teacher.logits"]
    )
    if other is None:
        nodes, learns = [*nodes, added], [*learns, ADDED]
    if form == "hard":
        nodes.append(Bridge(DECISION, decision, "teacher.logits"))
        term = Term("decision", cross_entropy, [taught, DECISION], weight=alpha)
    else:
        soft = {"temperature": temperature}
        term = Term("kd", kl, [taught, "teacher.logits"], weight=alpha, options=soft)
    measures, products = _inferences(role, own, other, added)
    return Stage(
        "deit",
        nodes=nodes,
        updates=[Update(learns=learns, terms=[label_term(1 - alpha, logits=label), term])],
        measures=measures,
        products=products,
    )


def decision(logits: Tensor) -> Tensor:
    """The class that the teacher decides for, [B].

    >>> import torch
    >>> decision(torch.tensor([[0.0, 2.0, 1.0]])).tolist()
    [1]
    """
    return logits.argmax(1)


def second_head(embedding: Size, logits: Size) -> nn.Linear:
    """A head like the first one: from an embedding of this shape to logits of that shape.

    >>> second_head(Size([8, 16]), Size([8, 10]))
    Linear(in_features=16, out_features=10, bias=True)
    """
    return nn.Linear(embedding[-1], logits[-1])


def _heads(
    student: nn.Module, class_head: str | None, distilled_head: str | None
) -> tuple[str, str | None]:
    """The parts of the student that are the two logits; None where the second must be added."""
    if class_head is not None and distilled_head is None:
        said = f"class_head is {class_head!r}, and no distilled_head is named; name both or none"
        raise RecipeError("method 'deit'", [said])
    paths = {path for path, _ in student.named_modules()}
    own, other = next((pair for pair in PAIRS if paths.issuperset(pair)), (LOGITS, None))
    if distilled_head is None:
        return own, other
    return class_head or (own if distilled_head == other else LOGITS), distilled_head


def _inferences(
    student: Role, own: str, other: str | None, added: Bridge
) -> tuple[dict[str, str], Mapping[str, Callable[[], nn.Module]]]:
    """What is scored, and the models of those that the bare student does not give."""
    logits = f"student.{LOGITS}"
    if other is None:

        def another() -> nn.Module:
            if added.module is None:
                said = f"the bridge '{ADDED}' was not sized yet; train the stage"
                raise WiringError("deit", [said])
            return added.module

        def both() -> nn.Module:
            head = MixtureHead(student.head_module(), another(), 0.5)
            return with_head(student.module, student.head, head)

        return {"own head": logits, "distilled head": ADDED, "both heads": BOTH}, {
            "distilled head": lambda: with_head(student.module, student.head, another()),
            "both heads": both,
        }
    if own == LOGITS and other.startswith(":"):
        return {"class head": logits, "both heads": BOTH}, {
            "both heads": lambda: MixtureOfOutputs(
                student.module, str(student.output or LOGITS), other[1:], 0.5
            )
        }
    return {"student": logits}, {}
