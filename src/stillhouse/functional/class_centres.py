"""Centres of classes: a classifier of cosines without any training, out of embeddings alone."""

import torch
from torch import Tensor

from stillhouse.errors import WiringError
from stillhouse.functional.embeddings import SAME


def class_centres(embedding: Tensor, label: Tensor, classes: int) -> Tensor:
    """The direction of the mean direction of each class: ``C_k = m_k / |m_k|``.

    ``m_k = mean_{i: y_i = k} z_i / |z_i|``: each embedding counts by its direction, however long it
    is. As the weight of a `CosineHead` the centres make a classifier of a network that has none,
    and that is what a student shares of a face teacher.

    Shapes:
        embedding: [N, D]; label: [N], class indices below K, -1 for a row of no class; returns
        [K, D], float32, each of length 1. Sums are made in float64.

    Args:
        embedding: of the rows of training, in any order.
        label: the class of each.
        classes: K.

    Raises:
        WiringError: shapes that do not fit, a class without a row, or one whose directions cancel.

    >>> z = torch.tensor([[2.0, 0.0], [0.0, 5.0], [-3.0, 0.0]])
    >>> class_centres(z, torch.tensor([0, 0, 1]), 2).round(decimals=4).tolist()
    [[0.707..., 0.707...], [-1.0, 0.0]]
    """
    if embedding.ndim != 2 or label.shape != embedding.shape[:1]:
        said = f"embeddings are {list(embedding.shape)} and labels {list(label.shape)}"
        raise WiringError("class_centres", [f"{said}; give [N, D] and [N]"])
    known = label >= 0
    label, rows = label[known].long(), embedding[known].double()
    rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(SAME)
    count = torch.bincount(label, minlength=classes)
    if len(count) > classes:
        said = f"a label is {int(label.max())}, and there are {classes} classes"
        raise WiringError("class_centres", [f"{said}, 0 to {classes - 1}"])
    if not count.all():
        empty = int((count == 0).sum())
        said = f"class {int((count == 0).nonzero()[0, 0])} has no row"
        said += f" ({empty} of {classes} classes)" if empty > 1 else ""
        raise WiringError("class_centres", [f"{said}; a centre is the mean of its embeddings"])
    total = torch.zeros(classes, rows.shape[1], dtype=rows.dtype, device=rows.device)
    mean = total.index_add_(0, label, rows) / count[:, None]
    length = torch.linalg.vector_norm(mean, dim=1)
    if not bool((length > SAME).all()):  # nan is not, either
        at = int((~(length > SAME)).nonzero()[0, 0])
        said = f"the embeddings of class {at} have no mean direction (its length is {length[at]:g})"
        raise WiringError("class_centres", [f"{said}; is the network trained, are they finite?"])
    centres: Tensor = mean / length[:, None]
    return centres.float()
