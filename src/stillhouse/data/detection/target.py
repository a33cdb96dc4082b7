"""The boxes of an image as one tensor, so that a batch of images has one label of a fixed form.

A row of a label is a box: class, left, top, right and bottom in pixels of the image as it is shown,
whether it is a crowd, its area as it was annotated, and how many pixels of the source one shown
pixel is in width and height. Rows of class -1 fill up.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

CLASS, BOX, CROWD, AREA, SCALE = 0, slice(1, 5), 5, 6, slice(7, 9)
FIELDS = 9
FILLING = -1.0
"""The class of a row that is no box."""


def packed(
    classes: Tensor,
    boxes: Tensor,
    crowd: Tensor,
    area: Tensor,
    *,
    scale: Sequence[float],
    rows: int,
) -> Tensor:
    """Boxes as rows of a label, filled up.

    Args:
        classes: of each box, [M].
        boxes: left, top, right, bottom, [M, 4].
        crowd, area: of each box, [M].
        scale: pixels of the source for one shown pixel, in width and height.
        rows: of the label, at least 1 and M.

    Shapes:
        returns [rows, 9], float32.

    >>> box = torch.tensor([[1.0, 2, 5, 6]])
    >>> packed(torch.tensor([2]), box, torch.zeros(1), box[:, 3], scale=(2, 2), rows=2).tolist()
    [[2.0, 1.0, 2.0, 5.0, 6.0, 0.0, 6.0, 2.0, 2.0], [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0]]
    """
    label = torch.zeros(rows, FIELDS)
    label[:, CLASS] = FILLING
    label[:, SCALE] = torch.tensor([float(each) for each in scale])
    count = len(classes)
    label[:count, CLASS] = classes.float()
    label[:count, BOX] = boxes.float()
    label[:count, CROWD] = crowd.float()
    label[:count, AREA] = area.float()
    return label


def learnt(label: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes of one image that a detector learns, [M, 4], and their classes, int64 [M].

    A crowd is no object of its own, so nobody learns it.
    """
    rows = label[(label[:, CLASS] >= 0) & (label[:, CROWD] == 0)]
    return rows[:, BOX].float(), rows[:, CLASS].long()
