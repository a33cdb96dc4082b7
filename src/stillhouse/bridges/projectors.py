"""Projectors: what brings the student's features to the teacher's width while it learns."""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from torch import Size, nn

from stillhouse.errors import WiringError, nearest

Projector = Literal["none", "linear", "mlp2", "mlp3", "conv1x1"]
"""The kinds that `projector` knows."""

WIDENING = 4
"""Of the hidden layers of an MLP, in widths of the teacher."""


def projector(kind: Projector, student_dim: int, teacher_dim: int) -> nn.Module:
    """A map from the student's width to the teacher's, trained with it and dropped at inference.

    ``linear``: ``W z + b``. ``mlp2``, ``mlp3``: two or three such layers, ReLU between, hidden
    width ``4 * teacher_dim``. ``conv1x1``: the linear map at each position of a map. ``none``: it
    stays as it is. Weights start as PyTorch makes them.

    All layers have a bias, as in the released code (the theory of the paper has none). Before a
    batch normalisation the bias of the last layer changes nothing and gets no gradient.

    Sized from signals, in a stage::

        Bridge.sized("projected", lambda s, t: projector("linear", s[1], t[1]),
                     "student.embedding", by=["student.embedding", "teacher.embedding"])

    Shapes:
        none, linear, mlp2, mlp3: [..., student_dim] -> [..., teacher_dim];
        conv1x1: [B, student_dim, H, W] -> [B, teacher_dim, H, W].

    Args:
        kind: which of them. The paper finds the linear one enough, also at equal widths.
        student_dim: width of the student's features (channels of a map).
        teacher_dim: width of the teacher's.

    Raises:
        WiringError: there is no such kind, or 'none' is asked to bridge two widths.

    Paper: "Understanding the Role of the Projector in Knowledge Distillation", arXiv 2303.11098.

    Differs from the authors' code: that has the linear map at work; the MLP of two layers, four
        times as wide, stands in its first release unused, three layers are ours.

    >>> projector("mlp2", 3, 5)[0]
    Linear(in_features=3, out_features=20, bias=True)
    """
    if kind not in get_args(Projector):
        raise WiringError("projector", [f"no kind '{kind}'; {nearest(kind, get_args(Projector))}"])
    if kind == "none":
        return _no_projector(student_dim, teacher_dim)
    if kind == "conv1x1":
        return nn.Conv2d(student_dim, teacher_dim, kernel_size=1)
    if kind == "linear":
        return nn.Linear(student_dim, teacher_dim)
    hidden = WIDENING * teacher_dim
    inner = [nn.Linear(hidden, hidden), nn.ReLU()] if kind == "mlp3" else []
    return nn.Sequential(
        nn.Linear(student_dim, hidden), nn.ReLU(), *inner, nn.Linear(hidden, teacher_dim)
    )


def embedder(width: int) -> Callable[[Size], nn.Module]:
    """What sizes a bridge to a space of its own: a linear map from any feature to this width.

    Maps are flattened. Student and teacher get one each; see `Bridge.sized`.

    Shapes:
        the module: [B, ...] -> [B, width].

    >>> embedder(128)(Size([8, 64]))
    Linear(in_features=64, out_features=128, bias=True)
    """
    return partial(_embedding, width=width)


def _embedding(feature: Size, *, width: int) -> nn.Module:
    linear = nn.Linear(feature[1:].numel(), width)
    return linear if len(feature) == 2 else nn.Sequential(nn.Flatten(), linear)


def _no_projector(student_dim: int, teacher_dim: int) -> nn.Module:
    if student_dim == teacher_dim:
        return nn.Identity()
    kinds = ", ".join(f"'{kind}'" for kind in get_args(Projector)[1:])
    raise WiringError(
        "projector 'none'",
        [
            f"the student's features have width {student_dim}, the teacher's {teacher_dim}; "
            f"widths that differ need a projector: one of {kinds}"
        ],
    )
