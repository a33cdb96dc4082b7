"""A projector at work: into how many directions it maps, how evenly, and what of its input stays.

Under batch normalisation the scale of each row of the weights is free, so compare shapes of
spectra (`effective_rank`, `share_small`), never raw singular values. Those are pure, in float64.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from stillhouse.engine.diagnostics import Diagnostic
from stillhouse.representations.likeness import linear_cka, mean_correlation


def singular_values(weight: Tensor) -> Tensor:
    """The singular values of a layer's weight, largest first.

    Shapes:
        weight: [out, in] of a Linear, or [out, in, ...] of a convolution, which is flattened to
            [out, in * ...]; returns [min(out, in)], float64, on the CPU.

    >>> singular_values(torch.tensor([[0.0, 2.0], [3.0, 0.0]])).round(decimals=6).tolist()
    [3.0, 2.0]
    """
    found: Tensor = torch.linalg.svdvals(weight.detach().flatten(1).double().cpu())
    return found


def effective_rank(sigma: Tensor) -> float:
    """How many directions count: ``exp(-sum p ln p)`` with ``p = sigma / sum sigma``.

    From 1 (one direction) to the number of values (all equal); 0.0 when all are 0.

    Shapes:
        sigma: [R], none negative.

    Paper: Roy & Vetterli, "The effective rank: a measure of effective dimensionality",
        EUSIPCO 2007.

    >>> round(effective_rank(torch.tensor([5.0, 5.0, 5.0, 0.0])), 6)
    3.0
    """
    sigma = sigma.detach().double()
    total = sigma.sum()
    if total == 0:
        return 0.0
    entropy: Tensor = torch.special.entr(sigma / total).sum()
    return entropy.exp().item()


def share_small(sigma: Tensor, *, below: float = 0.1) -> float:
    """The share of singular values below a share of the largest: ``mean(sigma < below * max)``.

    Shapes:
        sigma: [R].

    Args:
        below: in 0..1, relative to the largest. 0.1: our choice; the paper shows whole spectra.

    >>> share_small(torch.tensor([10.0, 2.0, 0.9, 0.1]))
    0.5
    """
    sigma = sigma.detach().double()
    return (sigma < below * sigma.max()).double().mean().item()


def spectrum_diagnostics(layer: Callable[[], nn.Module]) -> list[Diagnostic]:
    """The singular values of a linear projector's weight, after each epoch.

    ``projector_singular_values``, largest first; ``projector_effective_rank``;
    ``projector_share_small``, the share of them below a tenth of the largest.

    Args:
        layer: gives the layer; a bridge has it only once it was sized.

    >>> layer = nn.Linear(2, 2)
    >>> _ = layer.load_state_dict({"weight": Tensor([[3.0, 0.0], [0.0, 4.0]])}, strict=False)
    >>> [diagnostic.of() for diagnostic in spectrum_diagnostics(lambda: layer)[::2]]
    [tensor([4., 3.], dtype=torch.float64), 0.0]
    """

    def sigma() -> Tensor:
        return singular_values(layer().get_parameter("weight"))

    return [
        Diagnostic("projector_singular_values", sigma),
        Diagnostic("projector_effective_rank", lambda: effective_rank(sigma())),
        Diagnostic("projector_share_small", lambda: share_small(sigma())),
    ]


def end_diagnostics(projector: Callable[[], nn.Module], reads: str) -> list[Diagnostic]:
    """How alike the two ends of a projector are, after each epoch.

    ``projector_in_out_cka`` (`linear_cka`) and ``projector_in_out_correlation``
    (`mean_correlation`), between the signal that it reads and what it makes of that. Low values say
    that it decorrelates them, so that less of what it is taught reaches the student.

    Args:
        projector: gives the module; a bridge has it only once it was sized.
        reads: the signal that goes in.

    >>> turn = nn.Linear(2, 2, bias=False)
    >>> _ = turn.load_state_dict({"weight": Tensor([[0.0, 1.0], [1.0, 0.0]])})
    >>> ends = end_diagnostics(lambda: turn, "student.embedding")
    >>> [round(end.of(Tensor([[0.0, 1.0], [2.0, 1.0], [1.0, 5.0]])), 3) for end in ends]
    [1.0, 0.5]
    """

    def out(z: Tensor) -> Tensor:
        module = projector()
        place = next(module.parameters()).device
        result: Tensor = module(z.to(place)).cpu()
        return result

    return [
        Diagnostic("projector_in_out_cka", lambda z: linear_cka(z, out(z)), (reads,)),
        Diagnostic("projector_in_out_correlation", lambda z: mean_correlation(z, out(z)), (reads,)),
    ]
