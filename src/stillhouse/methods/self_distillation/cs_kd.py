"""CS-KD: what a network says of one image of a class is the soft target for another."""

from dataclasses import replace

from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.data.orders import check_pairs, class_pairs
from stillhouse.engine.nodes import Bridge
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import cross_entropy, kl
from stillhouse.methods.roles import as_role
from stillhouse.methods.settings import Positive, Weight, checked


@checked
def cs_kd(
    student: nn.Module,
    *,
    temperature: Positive = 4.0,
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """Class-wise self-KD: two images of a class get alike predictions, the second as the target.

    ``label_weight * CE(p(x), y) + weight * T^2 KL(p^T(x'), p^T(x))`` over pairs (x, x') of one
    class, x' without gradient. A batch is B/2 pairs, so an epoch shows N rows, as any other does:
    the budget is that of the control, and the labels of half of the rows are learnt in an epoch,
    those of the other half in the next one (`stillhouse.data.orders.class_pairs`).

    Args:
        student: the learner; any classifier.
        temperature: T > 0. 4.0: the released code.
        weight: of the KL. 1.0: the same; 3 for fine-grained classes.
        label_weight: of the cross-entropy of the anchors. 1.0: the same.

    Returns:
        A stage that keeps the student and brings its own order of rows.

    Raises:
        RecipeError: a setting is out of its range.
        DataError: when data are known, a process would get half a pair: take an even batch.

    Paper: Yun et al. 2020, arXiv 2003.13964: "Regularizing Class-wise Predictions via
        Self-knowledge Distillation".

    Differs from the authors' code: there a batch is 128 anchors and 128 partners more, so an epoch
        runs 2N rows; here N, of which half are anchors. There the halves pass the network one
        after the other, here at once, so batch norm sees both. There a row may be its own partner,
        here only where its class has no other.

    >>> stage = cs_kd(nn.Linear(4, 2))
    >>> [(term.name, term.reads, term.weight) for term in stage.terms()]
    [('label', ('anchor', 'anchor_label'), 1.0), ('partner', ('anchor', 'partner'), 1.0)]
    """
    return Stage(
        "cs_kd",
        nodes=[
            as_role("student", student),
            Bridge("anchor", first_of_pairs, "student.logits"),
            Bridge("partner", second_of_pairs, "student.logits"),
            Bridge("anchor_label", first_of_pairs, "batch.label"),
        ],
        updates=[
            Update(
                "student",
                [
                    Term("label", cross_entropy, ["anchor", "anchor_label"], weight=label_weight),
                    Term(
                        "partner",
                        kl,
                        ["anchor", "partner"],
                        weight=weight,
                        options={"temperature": temperature},
                    ),
                ],
            )
        ],
        order=class_pairs,
        complete=_with_whole_pairs,
    )


def first_of_pairs(x: Tensor) -> Tensor:
    """The anchors of a batch of pairs; a row without a partner is left out.

    >>> import torch
    >>> first_of_pairs(torch.arange(4)).tolist(), second_of_pairs(torch.arange(4)).tolist()
    ([0, 2], [1, 3])
    """
    return x[: len(x) // 2 * 2 : 2]


def second_of_pairs(x: Tensor) -> Tensor:
    """The partners of a batch of pairs."""
    return x[1::2]


def _with_whole_pairs(stage: Stage, train: Batches) -> Stage:
    """The stage as it is; a batch that cuts a pair is told before anything runs."""
    check_pairs(train)
    return replace(stage, notes={**stage.notes, "rows": "pairs of one class, N rows an epoch"})
