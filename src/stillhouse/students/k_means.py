"""k-means of numbers: few centres for many weights, and indices of a few bits packed into bytes."""

import torch
from torch import Tensor

from stillhouse.errors import ModelError

ROUNDS = 1000
"""Lloyd's rounds, of which most layers need a tenth; each costs one search per centre."""
BITS = range(1, 9)
"""Of an index: up to 256 centres."""


def k_means(values: Tensor, entries: int) -> tuple[Tensor, Tensor]:
    """Centres of numbers by Lloyd's algorithm, and of each number the index of its nearest centre.

    Minimises ``sum_i (w_i - c_{k(i)})^2`` over centres c and indices k. The first centres are
    spread evenly from the smallest to the largest number, which the paper found best for networks:
    few weights are large, and those matter. A centre that is nearest to no number stays where it
    is, and of two equally near ones the smaller is taken. No random number is drawn: the numbers
    are sorted once, so that a round is a search for each middle between two centres.

    Args:
        values: any shape; computed in float64 on the CPU.
        entries: how many centres, at least 1.

    Shapes:
        values: any; returns centres [entries], ascending, of the dtype of ``values``, and indices
        [values.numel()], int64, in the order of ``values.flatten()``.

    Raises:
        ModelError: there are no numbers, or one is not finite.

    Paper: Han et al., Deep Compression, ICLR 2016, arXiv 1510.00149, sections 3.1 and 3.2 (linear
    initialisation).

    >>> centres, indices = k_means(torch.tensor([0.0, 1.0, 9.0, 1.1, 10.0]), 2)
    >>> [round(centre, 1) for centre in centres.tolist()], indices.tolist()
    ([0.7, 9.5], [0, 0, 1, 0, 1])
    """
    flat = values.detach().flatten().double().cpu()
    if not flat.numel() or not bool(flat.isfinite().all()):
        raise ModelError("weights cannot be grouped: there are none, or one of them is not finite")
    ordered = flat.sort().values
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), ordered.cumsum(0)])
    centres = torch.linspace(float(ordered[0]), float(ordered[-1]), entries, dtype=torch.float64)
    ends, before = _ends(ordered, centres), None
    for _ in range(ROUNDS):
        if before is not None and torch.equal(ends, before):
            break
        counts = ends.diff()
        means = sums[ends].diff() / counts.clamp(min=1)
        centres = torch.where(counts > 0, means, centres)
        before, ends = ends, _ends(ordered, centres)
    indices = torch.searchsorted(_middles(centres), flat)
    return centres.to(values.dtype), indices


def _middles(centres: Tensor) -> Tensor:
    return (centres[:-1] + centres[1:]) / 2


def _ends(ordered: Tensor, centres: Tensor) -> Tensor:
    """Where the numbers of each centre begin among the ordered ones, and where the last ends."""
    inner = torch.searchsorted(ordered, _middles(centres), right=True)
    return torch.cat([inner.new_zeros(1), inner, inner.new_tensor([len(ordered)])])


def packed(indices: Tensor, bits: int) -> Tensor:
    """Indices as bytes, ``bits`` of each one after the other, the lowest first.

    Shapes:
        indices: [N], 0 to 2^bits - 1; returns uint8 [ceil(N bits / 8)].

    >>> packed(torch.tensor([1, 2, 15]), 4).tolist()
    [33, 15]
    """
    places = torch.arange(bits, device=indices.device)
    stream = ((indices.long()[:, None] >> places) & 1).flatten()
    whole = torch.nn.functional.pad(stream, (0, -len(stream) % 8)).view(-1, 8)
    return (whole << torch.arange(8, device=indices.device)).sum(1).to(torch.uint8)


def unpacked(content: Tensor, bits: int, count: int) -> Tensor:
    """The indices of bytes that `packed` wrote, uint8 [count].

    >>> unpacked(torch.tensor([33, 15], dtype=torch.uint8), 4, 3).tolist()
    [1, 2, 15]
    """
    stream = (content.long()[:, None] >> torch.arange(8, device=content.device)) & 1
    each = stream.flatten()[: count * bits].view(count, bits)
    return (each << torch.arange(bits, device=content.device)).sum(1).to(torch.uint8)


def packed_bytes(count: int, bits: int) -> int:
    """How many bytes so many indices take.

    >>> packed_bytes(3, 4)
    2
    """
    return -(-count * bits // 8)
