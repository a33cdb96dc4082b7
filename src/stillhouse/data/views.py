"""Views: what a sample looks like is a pure function of (seed, index, view).

The numbers come from a counter-based generator (the finaliser of splitmix64, Steele et al., 2014)
on int64 tensors: the same on every device, in any order, batch, worker or world.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

PLAIN_VIEW = -1
"""The view number of an image that is not augmented."""

LOOKUP = "batch.lookup"
"""(row, view) of each image of a batch, on the CPU wherever the batch is: who looks something up
there, such as a cached teacher, never waits for the device."""

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_UNIT = 2.0**-24  # float32 holds 24 bits exactly
_ORDER = 1 << 32
"""The draw that shuffles; far from the draws of a view, so that equal seeds do not tie them."""


def _signed(value: int) -> int:
    """The int64 with the same 64 bits."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _xor_shift(x: Tensor, bits: int) -> Tensor:
    """``x ^ (x >>> bits)``: torch shifts int64 arithmetically, so the sign bits are masked off."""
    return x ^ ((x >> bits) & ((1 << (64 - bits)) - 1))


def mix(x: Tensor) -> Tensor:
    """One round of splitmix64 on each element: well-mixed 64 bits.

    Shapes:
        x: int64 of any shape; returns the same.

    >>> hex(mix(torch.tensor([0])).item() & (2**64 - 1))
    '0xe220a8397b1dcdaf'
    """
    x = x + _signed(_GOLDEN)
    x = _xor_shift(x, 30) * _signed(_FIRST)
    x = _xor_shift(x, 27) * _signed(_SECOND)
    return _xor_shift(x, 31)


def _mixed(x: int) -> int:
    """`mix` of one number, without a tensor."""
    most = 2**64 - 1
    x = (x + _GOLDEN) & most
    x = ((x ^ (x >> 30)) * _FIRST) & most
    x = ((x ^ (x >> 27)) * _SECOND) & most
    return _signed(x ^ (x >> 31))


def _roots(seed: int, index: Tensor, view: int) -> Tensor:
    """What all draws of a sample in a view have in common."""
    return mix(mix(index + _mixed(seed)) + view)


def keys(seed: int, index: Tensor, view: int, draw: int) -> Tensor:
    """64 random bits for each sample: (seed, index, view, draw) -> int64.

    Shapes:
        index: int64 [B]; returns [B].
    """
    return mix(_roots(seed, index, view) + draw)


def uniform(seed: int, index: Tensor, view: int, draw: int) -> Tensor:
    """Uniform numbers in [0, 1), one for each sample; ``draw`` numbers the draws of a sample.

    >>> u = uniform(0, torch.arange(10_000), view=3, draw=0)
    >>> bool(u.min() >= 0), bool(u.max() < 1), round(u.mean().item(), 2)
    (True, True, 0.5)
    """
    return _unit(keys(seed, index, view, draw))


def uniforms(seed: int, index: Tensor, view: int, draws: Sequence[int]) -> Tensor:
    """`uniform` of several draws at once, which costs little more than one.

    Shapes:
        index: int64 [B]; returns [draws, B].

    >>> index = torch.arange(5)
    >>> bool((uniforms(0, index, 3, [7, 1])[1] == uniform(0, index, 3, 1)).all())
    True
    """
    root = _roots(seed, index, view)
    return _unit(mix(torch.stack([root + draw for draw in draws])))


def _unit(bits: Tensor) -> Tensor:
    return ((bits >> 40) & 0xFFFFFF).float() * _UNIT


def sample_seeds(seed: int, index: Tensor, view: int) -> Tensor:
    """One seed for everything that the per-sample transform of each sample draws.

    Shapes:
        index: int64 [B]; returns int64 [B], none below 0.

    >>> first, second = sample_seeds(0, torch.tensor([5, 6]), 1).tolist()
    >>> first == second
    False
    """
    return keys(seed, index, view, 0) & (2**63 - 1)


def shuffled(seed: int, epoch: int, n: int) -> Tensor:
    """The order of an epoch: a permutation of 0..n-1.

    >>> shuffled(0, 1, 5).sort().values.tolist()
    [0, 1, 2, 3, 4]
    """
    return torch.argsort(keys(seed, torch.arange(n), epoch, _ORDER), stable=True)


def lookup(rows: Tensor, view: int) -> Tensor:
    """Where a batch is found in a teacher cache.

    Shapes:
        rows: int64 [B] on the CPU; returns int64 [B, 2]: row, view.
    """
    return torch.stack([rows, torch.full_like(rows, view)], 1)
