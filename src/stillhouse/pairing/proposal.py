"""Proposal: what `propose` finds for two networks, with shapes and likeness, to look at."""

from dataclasses import dataclass

from torch import Tensor, nn

from stillhouse.pairing.levels import heard_maps
from stillhouse.pairing.match import likeness, propose


@dataclass(frozen=True)
class ProposedPair:
    """A tap of the student and one of the teacher, and how alike their maps are (linear CKA)."""

    by: str
    mine: str
    theirs: str
    my_shape: tuple[int, ...]
    their_shape: tuple[int, ...]
    likeness: float


def proposals(
    student: nn.Module, teacher: nn.Module, image: Tensor, *, teacher_image: Tensor | None = None
) -> list[ProposedPair]:
    """The pairs by resolution and by likeness, with what speaks for each.

    Raises:
        ModelError: a model gives no maps, or does not take the images.

    >>> import torch
    >>> from stillhouse.models import build_model
    >>> small, large = build_model("resnet8", classes=4), build_model("resnet14", classes=4)
    >>> pair = proposals(small, large, torch.randn(4, 3, 32, 32))[0]
    >>> pair.by, pair.mine, pair.theirs, pair.their_shape
    ('levels', 'layer1', 'layer1', (16, 32, 32))
    """
    shown = image if teacher_image is None else teacher_image
    mine, theirs = heard_maps(student, image), heard_maps(teacher, shown)
    found = []
    for by in ("levels", "auto"):
        for a, b in propose(student, teacher, image, by=by, teacher_image=teacher_image):
            shapes = tuple(mine[a].shape[1:]), tuple(theirs[b].shape[1:])
            found.append(ProposedPair(by, a, b, *shapes, likeness(mine[a], theirs[b])))
    return found
