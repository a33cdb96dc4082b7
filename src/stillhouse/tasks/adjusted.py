"""A classification whose labels are not quite sure, or whose classes count differently."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.classes import check_classes
from stillhouse.tasks.classification import CLASSIFICATION, Classification
from stillhouse.tasks.task import Task


class AdjustedClassification(Classification):
    """Classification with another labelled term; what is measured is the same.

    ``-sum_c w(c) q(c) log softmax(z)_c`` with ``q = (1 - e) y + e / K``, the value of
    ``torch.nn.functional.cross_entropy(weight=, label_smoothing=, reduction="none")``. A term is
    the mean over rows; torch's mean divides by the sum of the weights of a batch instead, so that
    there a row counts less the dearer its neighbours are. Here it counts the same in any batch,
    micro-batch and process; weights whose mean over the training rows is 1 keep the loss as large.

    Args:
        label_smoothing: e in 0..1 (Szegedy et al., arXiv 1512.00567: 0.1). 0.0: none.
        class_weights: w, a number for each class; none: all count alike.
        of: the classification, of images or of texts.

    >>> task = AdjustedClassification(class_weights=[1.0, 3.0])
    >>> z = torch.tensor([[2.0, 0.0]] * 2)
    >>> [round(value, 4) for value in task.loss(z, torch.tensor([0, 1])).tolist()]
    [0.1269, 6.3808]
    """

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] = (),
        of: Classification = CLASSIFICATION,
    ) -> None:
        self.of = of
        self.name, self.mixes = of.name, of.mixes
        self.rows_are, self.reads = of.rows_are, of.reads
        self.label_smoothing = label_smoothing
        self.class_weights = tuple(class_weights)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is on."""
        smoothing, weights = self.label_smoothing, list(self.class_weights)
        told = {"label_smoothing": smoothing, "class_weights": weights}
        return {name: value for name, value in told.items() if value}

    @property
    def of_unseen(self) -> Task | None:
        """As of the classification."""
        return self.of.of_unseen

    def loss(self, output: Tensor, label: Tensor, /) -> Tensor:
        """The smoothed and weighted cross-entropy of each row, [B], float32."""
        check_classes("label", output, label=label)
        weights, smoothing = self.class_weights, self.label_smoothing
        weight = torch.tensor(weights, device=output.device) if weights else None
        return F.cross_entropy(
            output.float(), label, weight=weight, label_smoothing=smoothing, reduction="none"
        )
