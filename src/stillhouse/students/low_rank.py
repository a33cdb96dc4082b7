"""Low-rank students: linear layers and convolutions as products of two thinner ones.

A weight matrix W [m, n] is the product of its singular vectors, ``W = U S V^T``. Its first r
singular values give the closest matrix of rank r in the Frobenius norm (Eckart and Young), and
that is two layers of r * (m + n) weights instead of one of m * n. The squared singular values that
were left out are the squared distance.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.students.derived import DerivedModel, Replacement, classifier, rebuilt

Scheme = Literal["channel", "spatial"]


def low_rank(
    teacher: nn.Module,
    *,
    rank: int | None = None,
    ratio: float | None = None,
    energy: float | None = None,
    scheme: Scheme = "channel",
    keep: Sequence[str] | None = None,
) -> DerivedModel:
    """A copy of a network with each Linear and Conv2d factorised; one of three says how far.

    A layer that would not have fewer weights is kept, and so are grouped convolutions: what was
    kept is reported with its reason. Nothing else changes: names, taps and the other layers stay,
    and a layer ``path`` becomes ``path.reduce`` and ``path.expand``.

    Args:
        teacher: stays as it is.
        rank: of each layer, at most its full rank.
        ratio: of each layer's weights, the share that its factors may have, in (0, 1).
        energy: of each layer's squared singular values, the share that is kept, in (0, 1]; the
            only one of the three by which the shape of the student depends on the teacher's
            weights.
        scheme: of convolutions. ``channel``: k x k to r channels, then 1 x 1 (Zhang et al.).
            ``spatial``: k x 1, then 1 x k (the second scheme of Jaderberg et al.).
        keep: paths of layers that stay as they are; default: the classifier (the last Linear).

    Raises:
        ModelError: not just one of rank, ratio and energy, one out of range, or no such path.

    Paper: Denton et al., Exploiting Linear Structure Within Convolutional Networks, NeurIPS 2014;
    Jaderberg et al., Speeding up Convolutional Neural Networks with Low Rank Expansions, BMVC
    2014; Zhang et al., Accelerating Very Deep Convolutional Networks, TPAMI 2016.

    Differs from the papers: factors are those of the weights, one layer at a time; the papers
    also fit responses of the data and choose ranks over all layers. Here distillation follows.

    >>> net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    >>> low_rank(net, ratio=0.5).changes
    (Change(path='0', before=4160, after=2112, how='rank 16 of 64'),)
    """
    _check(rank, ratio, energy)
    thinnest: list[float] = []  # shares of layers at rank 1

    def decide(layer: nn.Linear | nn.Conv2d) -> Replacement | str:
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            return f"its {layer.groups} groups make it thin already"
        matrix = as_matrix(layer, scheme)
        full, cost = min(matrix.shape), sum(matrix.shape)
        if rank is not None:
            wanted = min(rank, full)
        elif ratio is not None:
            wanted = min(max(1, int(ratio * matrix.numel() / cost)), full)
            thinnest.append(cost / matrix.numel())
        else:
            wanted = rank_of_energy(torch.linalg.svdvals(matrix), energy or 1.0)
        if wanted * cost >= matrix.numel():
            return f"rank {wanted} of {full} would not be smaller"
        return Replacement(factorise(layer, wanted, scheme=scheme), f"rank {wanted} of {full}")

    kinds = (nn.Linear, nn.Conv2d)
    made = rebuilt(teacher, kinds, decide, classifier(teacher) if keep is None else keep)
    if ratio is not None and thinnest and ratio < min(thinnest):
        said = f"ratio is {ratio:g}, and at rank 1 every layer keeps {min(thinnest):.2g} or more"
        raise ModelError(f"{said} of its weights; give a larger one")
    return made


def factorise(
    layer: nn.Linear | nn.Conv2d, rank: int, *, scheme: Scheme = "channel"
) -> nn.Sequential:
    """Two layers, ``reduce`` and ``expand``, that are the closest to one layer at a rank.

    Each takes the square roots of the singular values, so that both are of one size. Stride,
    padding (its mode too) and dilation stay; the bias is the second one's.

    Shapes:
        Linear [m, n]: [r, n] and [m, r]. Conv2d [m, n, a, b]: ``channel`` [r, n, a, b] and
        [m, r, 1, 1]; ``spatial`` [r, n, a, 1] and [m, r, 1, b].

    >>> layer, x = nn.Conv2d(3, 8, 3, padding=1), torch.ones(1, 3, 5, 5)
    >>> torch.allclose(factorise(layer, 8)(x), layer(x), atol=1e-5)
    True
    """
    matrix = as_matrix(layer, scheme)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    root = s[:rank].sqrt()
    left, right = u[:, :rank] * root, root[:, None] * v[:rank]
    first, second = _thin(layer, rank, scheme)
    with torch.no_grad():
        if isinstance(layer, nn.Conv2d) and scheme == "spatial":
            m, n, a, b = layer.weight.shape
            first.weight.copy_(right.reshape(rank, n, a, 1))
            second.weight.copy_(left.reshape(m, b, rank).permute(0, 2, 1).unsqueeze(2))
        else:
            first.weight.copy_(right.reshape(first.weight.shape))
            second.weight.copy_(left.reshape(second.weight.shape))
        if layer.bias is not None and second.bias is not None:
            second.bias.copy_(layer.bias)
    made = nn.Sequential()
    made.add_module("reduce", first)
    made.add_module("expand", second)
    return made


def as_matrix(layer: nn.Linear | nn.Conv2d, scheme: Scheme = "channel") -> Tensor:
    """The weight of a layer as the matrix that is factorised, in float64 on the CPU.

    Shapes:
        Linear [m, n]: itself. Conv2d [m, n, a, b]: ``channel`` [m, n a b]; ``spatial``
        [m b, n a].

    >>> as_matrix(nn.Conv2d(4, 6, 3), "spatial").shape
    torch.Size([18, 12])
    """
    weight = layer.weight.detach().double().cpu()
    if isinstance(layer, nn.Conv2d) and scheme == "spatial":
        m, n, a, b = weight.shape
        return weight.permute(0, 3, 1, 2).reshape(m * b, n * a)
    return weight.flatten(1)


def rank_of_energy(singular: Tensor, energy: float) -> int:
    """The smallest rank that keeps a share of the squared singular values (at least 1).

    >>> rank_of_energy(torch.tensor([3.0, 2.0, 1.0]), 0.9)
    2
    """
    squares = singular.double().square().cumsum(0)
    enough = squares >= energy * squares[-1] * (1 - 1e-12)  # the last sum is rounded too
    return int(enough.nonzero()[0].item()) + 1


def _thin(
    layer: nn.Linear | nn.Conv2d, rank: int, scheme: Scheme
) -> tuple[nn.Linear, nn.Linear] | tuple[nn.Conv2d, nn.Conv2d]:
    """The two layers, with weights that mean nothing yet."""
    bias = layer.bias is not None
    place: dict[str, Any] = {"device": layer.weight.device, "dtype": layer.weight.dtype}
    if isinstance(layer, nn.Linear):
        first = nn.Linear(layer.in_features, rank, bias=False, **place)
        return first, nn.Linear(rank, layer.out_features, bias=bias, **place)
    place["padding_mode"] = layer.padding_mode
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    into, out = layer.in_channels, layer.out_channels
    if scheme == "channel":
        reduce = nn.Conv2d(
            into, rank, kernel, stride, layer.padding, dilation, bias=False, **place  # type: ignore[arg-type]
        )  # fmt: skip
        return reduce, nn.Conv2d(rank, out, 1, bias=bias, **place)
    reduce = nn.Conv2d(
        into, rank, (kernel[0], 1), (stride[0], 1), _half(layer.padding, 0), (dilation[0], 1),
        bias=False, **place,
    )  # fmt: skip
    return reduce, nn.Conv2d(
        rank, out, (1, kernel[1]), (1, stride[1]), _half(layer.padding, 1), (1, dilation[1]),
        bias=bias, **place,
    )  # fmt: skip


def _half(padding: str | tuple[int, ...], at: int) -> Any:
    """The padding of one direction; a word such as 'same' holds for each."""
    if isinstance(padding, str):
        return padding
    return (padding[0], 0) if at == 0 else (0, padding[1])


def _check(rank: int | None, ratio: float | None, energy: float | None) -> None:
    given = {"rank": rank, "ratio": ratio, "energy": energy}
    said = [name for name, value in given.items() if value is not None]
    if len(said) != 1:
        asked = f"got {' and '.join(said)}" if said else "got none"
        raise ModelError(f"low_rank wants one of rank, ratio and energy; {asked}")
    if rank is not None and rank < 1:
        raise ModelError(f"rank is {rank}; give a whole number of at least 1")
    if ratio is not None and not 0 < ratio < 1:
        raise ModelError(f"ratio is {ratio}; give a share between 0 and 1, such as 0.5")
    if energy is not None and not 0 < energy <= 1:
        raise ModelError(f"energy is {energy}; give a share above 0 and at most 1, such as 0.9")
