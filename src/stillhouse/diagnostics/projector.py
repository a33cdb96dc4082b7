"""A projector at work: into how many directions it maps, and what of its input stays."""

from collections.abc import Callable

from torch import Tensor, nn

from stillhouse.diagnostics.representations import linear_cka, mean_correlation
from stillhouse.diagnostics.spectrum import effective_rank, share_small, singular_values
from stillhouse.engine.diagnostics import Diagnostic


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
