"""Adversarial distillation: a critic learns to tell the student from the teacher."""

from functools import partial
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.bridges import Critic, match_width
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.optimisers import adamw
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import kl
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Positive, Weight, Width, checked

CRITIC = "judged"


@checked
def adversarial_kd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    on: Literal["logits", "embedding"] = "logits",
    weight: Weight = 0.1,
    kd_weight: Weight = 1.0,
    temperature: Positive = 4.0,
    label_weight: Weight = 1.0,
    hidden: Width = 128,
    critic_lr: Positive = 1e-3,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Adversarial KD: a critic tells student from teacher, and the student learns to fool it.

    Two updates in each step, D the critic's score, s and t what the two networks say::

        critic:   softplus(-D(t)) + softplus(D(s))
        student:  label_weight * CE(p_s, y) + kd_weight * T^2 KL(p_t^T, p_s^T)
                  + weight * softplus(-D(s))

    The survey's form of this family is ``CE + alpha KL + beta L_GAN``. The critic learns by Adam,
    under the schedule of the student, whose own rate (SGD, 0.05) makes it diverge. At chance its
    term is 2 ln 2 = 1.386, and what is to fool it is ln 2 = 0.693: near 0 for 'tell' the critic has
    won and teaches little.

    Args:
        student: the learner; any classifier.
        teacher: frozen; a model or a node called 'teacher'.
        on: what is judged: 'logits', or the 'embedding', where a linear map comes in front of the
            student's if the widths differ.
        weight: of fooling the critic. 0.1: our choice.
        kd_weight: of the KL. 1.0: our choice; 0 leaves it out.
        temperature: T > 0 of the KL. 4.0: as in `kd`, our choice.
        label_weight: of the cross-entropy. 1.0: our choice.
        hidden: width of the critic's two hidden layers. 128: our choice.
        critic_lr: learning rate of the critic's Adam. 0.001: PyTorch's default.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student; critic and map are dropped.

    Raises:
        RecipeError: a setting is out of its range, or no such 'on'.
        WiringError: a head is named for a teacher that comes as a node.
        ModelError: no module of that name is there to be the head.

    Paper: Xu et al. 2018, arXiv 1709.00513; Wang et al. 2018: "Training Shallow and Thin Networks
        for Acceleration via Knowledge Distillation with Conditional Adversarial Networks" (on
        logits); "Adversarial Learning of Portable Student Networks", AAAI 2018 (on features).

    Differs from the authors' code: not compared, and written from the survey's words. The critic
        of Xu et al. is conditional, which this one is not. In the critic's update the student runs
        once more, in train mode, so its batch norm moves twice in a step.

    >>> stage = adversarial_kd(nn.Linear(4, 2), nn.Linear(4, 2))
    >>> [(u.name, u.learners, [term.name for term in u.terms]) for u in stage.updates]
    [('critic', ('judged',), ['tell']), ('student', ('student',), ['label', 'kd', 'fool'])]
    """
    nodes: list[Node] = [as_role("student", student, student_head), as_teacher(teacher, head)]
    mine, theirs, learners = f"student.{on}", f"teacher.{on}", ["student"]
    if on == "embedding":
        nodes.append(Bridge.sized("matched", match_width, mine, by=[mine, theirs]))
        mine = "matched"
        learners.append(mine)
    nodes.append(Bridge.sized(CRITIC, partial(Critic, hidden=hidden), [mine, theirs], by=[mine]))
    terms = [label_term(label_weight)]
    if kd_weight:
        both, soft = ["student.logits", "teacher.logits"], {"temperature": temperature}
        terms.append(Term("kd", kl, both, weight=kd_weight, options=soft))
    terms.append(Term("fool", taken_for_teacher, CRITIC, weight=weight))
    return Stage(
        "adversarial_kd",
        nodes=nodes,
        updates=[
            Update(
                CRITIC,
                [Term("tell", told_apart, CRITIC)],
                name="critic",
                optimizer=adamw(critic_lr, weight_decay=0.0),
            ),
            Update(learners, terms, name="student"),
        ],
    )


def told_apart(judged: Tensor) -> Tensor:
    """The critic's loss: cross-entropy of both verdicts, ``softplus(-D(t)) + softplus(D(s))``.

    Shapes:
        judged: [B, 2], scores of student and teacher; returns [B], float32.

    >>> import torch
    >>> round(told_apart(torch.zeros(1, 2)).item(), 4)
    1.3863
    """
    student, teacher = judged.float().unbind(1)
    return F.softplus(-teacher) + F.softplus(student)


def taken_for_teacher(judged: Tensor) -> Tensor:
    """The student's loss, in the form that does not vanish: ``softplus(-D(s))``.

    Shapes:
        judged: [B, 2], scores of student and teacher; returns [B], float32.

    >>> import torch
    >>> round(taken_for_teacher(torch.zeros(1, 2)).item(), 4)
    0.6931
    """
    return F.softplus(-judged.float()[:, 0])
