"""Several teachers: their averaged response, the surer one's, or that of one at random."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional.logits import confidence_shares, ensemble_kl
from stillhouse.methods.roles import as_teacher, label_term
from stillhouse.methods.settings import Positive, Weight, checked
from stillhouse.models import Ensemble

Listening = Literal["mean", "confidence", "random"]


@checked
def multi_teacher_kd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    listen: Listening = "mean",
    temperature: Positive = 4.0,
    weight: Weight = 0.9,
    label_weight: Weight = 0.1,
) -> Stage:
    """Several teachers: ``label_weight * CE + weight * T^2 sum_m w_m KL(p_m^T, p_s^T)``.

    mean: all count equally, which is the averaged response. confidence: for each sample a teacher
    counts less, the less it believes the label. random: in each step one teacher is drawn for the
    whole batch. Any other method takes an ensemble as well; it then sees the common answer only.

    Args:
        student: the learner; any classifier.
        teacher: an `stillhouse.models.Ensemble`, or a role called 'teacher' of one. A single
            network counts as an ensemble of one: then this is `kd`.
        listen: 'mean' (Hinton), 'confidence' (per sample) or 'random' (per step).
        temperature: T > 0. 4.0, weight 0.9, label_weight 0.1: those of `kd`, not published for
            several teachers.
        weight: of the KL.
        label_weight: of the cross-entropy.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: the teacher is a node from which the number of teachers cannot be told.

    Paper: Hinton et al. 2015; Fukuda et al. 2017; Zhang et al. 2022: "Distilling the Knowledge in a
        Neural Network", arXiv 1503.02531 (mean); "Efficient Knowledge Distillation from an Ensemble
        of Teachers", Interspeech 2017 (random); "Confidence-Aware Multi-Teacher Knowledge
        Distillation", arXiv 2201.00007 (confidence, without its feature loss).

    Differs from the authors' code: 'mean' has the gradient of the averaged response, its value
        differs by a constant; the other two were written from the survey's words.

    >>> two = Ensemble([nn.Flatten(), nn.Flatten()])
    >>> stage = multi_teacher_kd(nn.Flatten(), two, listen="random")
    >>> stage.node("teachers").reads
    ('teacher.:0', 'teacher.:1')
    """
    source = as_teacher(teacher)
    parts = _parts(source)
    known = ["teachers", "batch.label"] if listen == "confidence" else ["teachers"]
    shares = Bridge("shares", SHARES[listen], known)
    reads = ["student.logits", "teachers", "shares"]
    soft = {"temperature": temperature}
    return Stage(
        "multi_teacher_kd",
        nodes=[Role("student", student), source, Bridge("teachers", _stacked, parts), shares],
        updates=[
            Update(
                "student",
                [
                    label_term(label_weight),
                    Term("kd", ensemble_kl, reads, weight=weight, options=soft),
                ],
            )
        ],
    )


def _parts(source: Node) -> list[str]:
    if not isinstance(source, Role):
        said = f"'teacher' is a {type(source).__name__}, of which nobody knows how many it is"
        raise WiringError("multi_teacher_kd", [f"{said}; give the Ensemble, or a Role of it"])
    if not isinstance(source.module, Ensemble):
        return ["teacher.logits"]
    return [f"teacher.:{at}" for at in range(len(source.module.members))]


def _stacked(*each: Tensor) -> Tensor:
    return torch.stack(each, 1)


def _equal(teachers: Tensor) -> Tensor:
    return torch.full(teachers.shape[:2], 1.0 / teachers.shape[1], device=teachers.device)


def _one(teachers: Tensor) -> Tensor:
    """All to one of them, drawn for the batch; every step seeds its own generator."""
    chosen = torch.randint(teachers.shape[1], (), device=teachers.device)
    places = torch.arange(teachers.shape[1], device=teachers.device)
    return (places == chosen).float().expand(teachers.shape[:2])


SHARES: dict[Listening, Callable[..., Tensor]] = {
    "mean": _equal,
    "confidence": confidence_shares,
    "random": _one,
}
