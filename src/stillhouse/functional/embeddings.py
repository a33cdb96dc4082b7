"""Directions of embeddings: formulas that do not see how long a vector is."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.numerics import by_anchors

SAME = 1e-12
"""An embedding shorter than this has no direction: its cosine with anything is 0."""


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """One minus the cosine of the angle between two embeddings: ``1 - s.t / (|s| |t|)``.

    From 0 (one direction) to 2 (opposite ones); 1 where one of them is 0. It is half of
    `normalised_l2`.

    Shapes:
        student, teacher: [B, ...] of equal shape; returns [B], float32.

    Paper: "It's All in the Head: Representation Knowledge Distillation through Classifier
        Sharing", arXiv 2201.06945, one of its choices of D.

    Differs from the authors' code: of the choices of D the code has the normalised squared error
        and CRD; this one is written from its name.

    >>> import torch
    >>> cosine_distance(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])).item()
    1.0
    """
    return 1.0 - (directions(student) * directions(teacher)).sum(1)


def normalised_l2(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of embeddings of unit length: ``sum_d (s_d / |s| - t_d / |t|)^2``.

    From 0 to 4: ``2 - 2 cos``, which is twice `cosine_distance`.

    Shapes:
        student, teacher: [B, ...] of equal shape; returns [B], float32.

    Paper: "It's All in the Head: Representation Knowledge Distillation through Classifier
        Sharing", arXiv 2201.06945, one of its choices of D.

    Differs from the authors' code: their `kde` sums over the batch too, so that it grows with the
        batch; the mean over examples (by the Term) is that sum divided by B. Their weight beta is
        ``weight = beta * B`` here, with B the batch size.

    >>> import torch
    >>> normalised_l2(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.5]])).item()
    2.0
    """
    return (directions(student) - directions(teacher)).square().sum(1)


def contrastive(student: Tensor, teacher: Tensor, *, temperature: float = 0.07) -> Tensor:
    """InfoNCE: of all the teacher's embeddings of the batch, the student points to its own.

    ``mean_b -log softmax_k(cos(s_b, t_k) / temperature)_b``: the row of the same example is the
    positive, the other rows of the teacher are the negatives. The chance level is ln(B), and a
    batch of one knows no negatives and gives 0; it is not 0 at s = t. It relates examples, hence
    one value per batch; processes and micro-batches do not see each other.

    Shapes:
        student, teacher: [B, ...] embeddings of equal shape; returns [], float32.
        Memory: B^2 values up to 16 MiB; beyond that a few examples at a time.

    Args:
        student: embeddings of the learner.
        teacher: embeddings of the teacher, at the same width (project first).
        temperature: above 0, of the cosines. 0.07: the setting of CRD in the released code.

    Paper: "It's All in the Head: Representation Knowledge Distillation through Classifier
        Sharing", arXiv 2201.06945, names a contrastive D; van den Oord et al., "Representation
        Learning with Contrastive Predictive Coding", arXiv 1807.03748, the formula.

    Differs from the authors' code: it has CRD (projections to 128 dimensions, a memory of 16384
        negatives). Which of the two the paper's D is we do not know; this one has no memory.

    >>> import torch
    >>> s, t = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    >>> round(contrastive(s, t, temperature=1.0).item(), 4)
    0.3133
    """
    formula = partial(_contrast, temperature=temperature)
    mine, theirs = directions(student), directions(teacher)
    return by_anchors(formula, mine, theirs, width=len(theirs)) / len(mine)


def directions(x: Tensor) -> Tensor:
    """Each row divided by its length, in float32; a row without direction stays what it is.

    Shapes:
        [B, ...] -> [B, D], flattened.

    >>> import torch
    >>> directions(torch.tensor([[0.0, 2.0], [0.0, 0.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    rows = x.flatten(1).float()
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    # Divided by 1 where there is no direction: by a tiny number its gradient would be huge.
    return rows / lengths.masked_fill(lengths <= SAME, 1.0)


def _contrast(anchors: slice, student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    scores = student[anchors] @ teacher.T / temperature
    own = torch.arange(len(student), device=student.device)[anchors]
    return F.cross_entropy(scores, own, reduction="sum")
