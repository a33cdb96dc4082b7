"""Embedding distillation: labels, soft classes, and the embedding itself is to be the teacher's."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import nn

from stillhouse.bridges.heads import match_width
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import (
    contrastive,
    cosine_distance,
    cross_entropy,
    kl,
    mse,
    normalised_l2,
)
from stillhouse.methods.roles import as_teacher
from stillhouse.methods.settings import Positive, Weight, checked

DISTANCES: Mapping[str, Callable[..., Any]] = {
    "l2": mse,
    "cosine": cosine_distance,
    "normalised_l2": normalised_l2,
    "contrastive": contrastive,
}
EMBEDDINGS = ("student.embedding", "teacher.embedding")


@checked
def embedding_kd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    distance: Literal["l2", "cosine", "normalised_l2", "contrastive"] = "normalised_l2",
    weight: Weight = 1.0,
    kd_weight: Weight = 1.0,
    temperature: Positive = 4.0,
    label_weight: Weight = 1.0,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Embedding KD: labels, soft classes and a distance of embeddings, ``CE + alpha H + beta D``.

    ``label_weight * CE(p_s, y) + kd_weight * T^2 KL(p_t^T, p_s^T) + weight * D(P z_s, z_t)`` on the
    inputs z of the two heads. P is the identity where their widths agree, else a linear map.

    Args:
        student: the learner; its embedding is the input of its head.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.embedding', and
            'teacher.logits' unless kd_weight is 0.
        distance: D. 'normalised_l2' (the default: of these the one that the authors released, their
            `kde`; lengths do not count, so its size is the same for every pair), 'cosine' (half of
            it), 'l2' (the mean squared difference, lengths count) or 'contrastive' (InfoNCE within
            the batch at its own temperature 0.07). Their sizes differ: tune the weight of each
            before you compare them.
        weight: beta, of the distance. 1.0 is our choice: no setting of `kde` was released.
        kd_weight: alpha, of the KL. 1.0: the released command with a distance on embeddings (there
            CRD). 0 leaves the KL out: no teacher logits are needed.
        temperature: T > 0 of the KL. 4.0: the released code.
        label_weight: of the cross-entropy. 1.0: the released code.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student; the bridge 'matched' learns with it and is dropped.

    Raises:
        RecipeError: a setting is out of its range, or no such distance.
        WiringError: a head is named for a teacher that comes as a node.
        ModelError: when the stage is wired, no head is named and the model has no Linear.

    Paper: It's All in the Head 2022, arXiv 2201.06945: "It's All in the Head: Representation
        Knowledge Distillation through Classifier Sharing", its general objective.

    Differs from the authors' code: their `kde` is a sum over the batch, so that it grows with the
        batch; here it is the mean over examples: ``weight = beta * B``, B being their batch size.
        They need equal widths; here a linear bridge, trained with the student, comes in front when
        they differ (our extension). 'l2', 'cosine' and InfoNCE are not in their code; CRD is.

    >>> stage = embedding_kd(nn.Linear(4, 2), nn.Linear(4, 2), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('embedding', 1.0), ('kd', 1.0)]
    """
    terms = [
        Term("label", cross_entropy, ["student.logits", "batch.label"], weight=label_weight),
        Term("embedding", DISTANCES[distance], ["matched", EMBEDDINGS[1]], weight=weight),
    ]
    if kd_weight:
        soft = {"temperature": temperature}
        both = ["student.logits", "teacher.logits"]
        terms.append(Term("kd", kl, both, weight=kd_weight, options=soft))
    return Stage(
        "embedding_kd",
        nodes=[
            Role("student", student, head=student_head),
            as_teacher(teacher, head),
            Bridge.sized("matched", match_width, EMBEDDINGS[0], by=EMBEDDINGS),
        ],
        updates=[Update(learns=["student", "matched"], terms=terms)],
    )
