"""The parts of a detector's own loss in the terms of the field, whatever its code calls them."""

import re
from collections.abc import Mapping

from torch import Tensor

_NAMES = (
    ("proposal_box", re.compile(r"rpn_box|proposal")),
    ("objectness", re.compile(r"objectness|^obj$")),
    ("centerness", re.compile(r"ctrness|centerness|centreness")),
    ("distribution", re.compile(r"fgl|ddf|dfl")),
    ("box", re.compile(r"box|iou|reg|^l1$")),
    ("classification", re.compile(r"cls|class|vfl|focal|mal|^ce$")),
)
_BEHIND = re.compile(r"(_(aux|dn|enc|pre|ia))*(_\d+)*$")
"""What networks with several decoder layers put behind the name of a part."""


def field_name(key: str) -> str:
    """What a part is called in the field; its own name where it is none that is known.

    ``classification``, ``box`` (regression, L1 and IoU), ``centerness`` (FCOS), ``objectness`` and
    ``proposal_box`` (of the proposals of Faster R-CNN), ``distribution`` (of the sides, D-FINE).

    >>> [field_name(key) for key in ("bbox_ctrness", "loss_giou_aux_1", "loss_ce", "mine")]
    ['centerness', 'box', 'classification', 'mine']
    """
    plain = _BEHIND.sub("", key.removeprefix("loss_").removesuffix("_loss"))
    return next((name for name, known in _NAMES if known.search(plain)), plain)


def parts_of(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The sum of the losses of each part, scalars, in the order in which they first come.

    >>> import torch
    >>> one = torch.tensor(1.0)
    >>> parts_of({"loss_ce": one, "loss_bbox": one, "loss_giou": 2 * one})
    {'classification': tensor(1.), 'box': tensor(3.)}
    """
    found: dict[str, Tensor] = {}
    for key, value in losses.items():
        name = field_name(key)
        mean = value.float().mean()
        found[name] = found[name] + mean if name in found else mean
    return found
