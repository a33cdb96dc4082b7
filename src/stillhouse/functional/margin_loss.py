"""The loss of margin heads, from what a head without a margin gives: scaled cosines."""

from typing import Literal

from torch import Tensor

from stillhouse.errors import WiringError, nearest
from stillhouse.functional.adaface import adaface
from stillhouse.functional.logits import cross_entropy
from stillhouse.functional.margin_heads import arcface, cosface
from stillhouse.functional.numerics import full

Margin = Literal["arcface", "cosface", "adaface", "none"]
MARGINS: dict[str, float] = {"arcface": 0.5, "cosface": 0.35, "adaface": 0.4, "none": 0.0}
"""The usual margin of each: insightface (radians), pytorch-metric-learning, AdaFace's code."""


def margin_cross_entropy(
    logits: Tensor,
    label: Tensor,
    *,
    scale: float,
    margin: Margin = "arcface",
    size: float | None = None,
    quality: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of scaled cosines with a margin on that of the own class, by row.

    ``-log softmax(s c')_y`` with ``c' = c = logits / s`` but for the own class: ``cos(theta + m)``
    (arcface), ``c - m`` (cosface), AdaFace's by the quality of the image, or ``c`` (none: the
    normalised softmax). The logits come without a margin, as a `CosineHead` gives them, so they are
    also what a student is to imitate.

    Shapes:
        logits: [B, K], s times cosines; label: [B], class indices; returns [B], float32.

    Args:
        logits: of the head, whatever autocast made of them: float32 is best, for at s = 64 the
            steps of bfloat16 are 0.25 wide.
        label: the own class.
        scale: s of that head; not learnt from the logits, which do not tell it.
        margin: which of them.
        size: m; None: 0.5 radians, 0.35, 0.4, see `MARGINS`.
        quality: of each row, for adaface alone: see `norm_quality`.

    Raises:
        WiringError: no such margin, or adaface without a quality (or another margin with one).

    Paper: those of `arcface`, `cosface`, `adaface` and `normalised_softmax`.

    Differs from the authors' code: see there.

    >>> import torch
    >>> logits, label = torch.tensor([[32.0, -16.0]]), torch.tensor([0])  # cosines 0.5 and -0.25
    >>> round(margin_cross_entropy(logits, label, scale=64, margin="cosface", size=1.0).item(), 4)
    16.0
    """
    if margin not in MARGINS:
        said = f"no margin {margin!r}; {nearest(str(margin), tuple(MARGINS))}"
        raise WiringError("margin_cross_entropy", [said])
    if (quality is not None) != (margin == "adaface"):
        said = "adaface follows the quality of each image (norm_quality of its embedding), "
        said += "which no other margin takes"
        raise WiringError("margin_cross_entropy", [said])
    by = MARGINS[margin] if size is None else size
    if margin == "none":
        return cross_entropy(full(logits), label)
    cosine = full(logits) / scale
    if quality is not None:
        with_it = adaface(cosine, label, quality, scale=scale, margin=by)
    else:
        head = arcface if margin == "arcface" else cosface
        with_it = head(cosine, label, scale=scale, margin=by)
    return cross_entropy(with_it, label)
