"""Rows with two labels: an image that was mixed of two has the label of each, by its share.

A batch of such rows holds ``batch.partner_label`` and ``batch.lam`` beside ``batch.label``
(`stillhouse.data.mixing`). The labelled terms take both labels; whoever reads the one class of a
row in another way cannot, and is found here.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from stillhouse.data.mixing import LABEL, LAM, PARTNER_LABEL
from stillhouse.engine.terms import Term

MIXED = (PARTNER_LABEL, LAM)
LEAVE_OUT = (
    "a mixed image has two: leave mixup and cutmix out of data.augment, or take a method that "
    "reads labels in the labelled term alone, such as kd"
)


class MixedLoss:
    """A loss of labels for rows that have two: ``lam * l(z, y) + (1 - lam) * l(z, y')``.

    For what is linear in the label, as cross-entropy is, that is the loss of the mixed label.

    Args:
        loss: of signals among which one is the label.
        place: of the label.

    >>> import torch
    >>> loss = MixedLoss(lambda z, label: (z - label) ** 2, place=1)
    >>> one, half = torch.ones(1), torch.full((1,), 0.5)
    >>> loss(one, torch.zeros(1), one, half).item()
    0.5
    """

    def __init__(self, loss: Callable[..., Tensor], place: int) -> None:
        self.loss, self.place = loss, place

    def __call__(self, *signals: Tensor, **options: Any) -> Tensor:
        """Signals of the loss, then the partner's label and lambda."""
        *own, partner_label, lam = signals
        other = [partner_label if at == self.place else value for at, value in enumerate(own)]
        return lam * self.loss(*own, **options) + (1 - lam) * self.loss(*other, **options)


def is_mixed(batch: Mapping[str, Tensor]) -> bool:
    """Whether rows of a batch have two labels."""
    return any(name in batch for name in MIXED)


def taking_both(term: Term) -> Term:
    """The same term for rows that have two labels; itself where it does not say that it may be,
    and where its loss is a module, which has a state of its own.

    >>> import torch
    >>> term = Term("label", torch.sub, ["student.logits", "batch.label"], mixes=True)
    >>> taking_both(term).reads
    ('student.logits', 'batch.label', 'batch.partner_label', 'batch.lam')
    """
    if not term.mixes or LABEL not in term.reads or term.module is not None:
        return term
    both = copy.copy(term)
    both.loss = MixedLoss(term.loss, term.reads.index(LABEL))
    both.reads, both.mixes = (*term.reads, *MIXED), False
    return both
