"""Positions of a row that are filling, as a mask tells: no formula may count them.

Rows of a batch of sentences are filled up to one length. What is told of a row is made of its own
positions alone, so it is what the row gives without filling, whatever stands beside it.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stillhouse.errors import WiringError

Call = Callable[..., Tensor]
TOKENS, MAP = 3, 4


def kept_places(x: Tensor, mask: Tensor) -> Tensor | None:
    """Which positions of a feature are no filling; None where it has no such positions.

    Shapes:
        mask: [B, L], 0 is filling. x: tokens [B, L, D] and maps of them [B, D, 1, L], returns bool
        [B, L] and [B, 1, L]; what tokens look at, [B, heads, L, L], returns bool [B, L, L].

    >>> kept_places(torch.zeros(1, 3, 8), torch.tensor([[1, 1, 0]])).tolist()
    [[True, True, False]]
    >>> kept_places(torch.zeros(1, 8), torch.tensor([[1, 1, 0]])) is None
    True
    """
    kept, length = mask.bool(), mask.shape[1]
    if x.shape[:1] != mask.shape[:1]:
        return None
    if x.ndim == TOKENS and x.shape[1] == length:
        return kept
    if x.ndim == MAP and tuple(x.shape[2:]) == (1, length):
        return kept[:, None]
    if x.ndim == MAP and tuple(x.shape[2:]) == (length, length):
        return kept[:, :, None] & kept[:, None, :]
    return None


def without_filling(x: Tensor, mask: Tensor) -> Tensor:
    """A feature that is 0 at filling; itself where it has no positions (`kept_places`).

    >>> without_filling(torch.ones(1, 3, 1), torch.tensor([[1, 1, 0]])).flatten().tolist()
    [1.0, 1.0, 0.0]
    """
    kept = kept_places(x, mask)
    if kept is None:
        return x
    return torch.where(kept[..., None] if x.ndim == TOKENS else kept[:, None], x, 0)


def mean_of_tokens(x: Tensor, mask: Tensor) -> Tensor:
    """The mean over tokens that are no filling: an embedding of each sentence.

    Shapes:
        x: [B, L, D]; returns [B, D]; what has no positions is given as it is.

    >>> mean_of_tokens(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 0]])).item()
    2.0
    """
    if x.ndim != TOKENS or kept_places(x, mask) is None:
        return x
    counts = mask.bool().sum(1, keepdim=True).clamp_min(1)
    return without_filling(x, mask).sum(1) / counts


def by_position(call: Call, inputs: Sequence[Tensor], mask: Tensor) -> Tensor:
    """A function of single positions on those that are no filling, as maps of one position each.

    So statistics of a batch norm are those of real tokens. The result is 0 at filling; one without
    positions is given as it is.

    Shapes:
        inputs: features of one kind (`kept_places`), given as [N, C, 1, 1]; returns a map.

    >>> x, mask = torch.tensor([[[[1.0, 3.0, 9.0]]]]), torch.tensor([[1, 1, 0]])
    >>> by_position(lambda each: each - each.mean(), [x], mask).flatten().tolist()
    [-1.0, 1.0, 0.0]
    """
    places = [kept_places(x, mask) for x in inputs]
    first = places[0]
    if first is None or any(at is None or at.shape != first.shape for at in places):
        return call(*inputs)
    made = call(*(_last(x)[first][:, :, None, None] for x in inputs))
    if made.ndim < MAP:
        return made
    if made.shape[0] != int(first.sum()) or tuple(made.shape[2:]) != (1, 1):
        said = f"of {int(first.sum())} single positions it gives {list(made.shape)}"
        raise WiringError("filling", [f"{said}; name layers of another method"])
    whole = made.new_zeros(*first.shape, made.shape[1])
    found = whole.masked_scatter(first[..., None], made[:, :, 0, 0]).movedim(-1, 1)
    return found if found.ndim == MAP else found[:, :, None]


def by_length(call: Call, inputs: Sequence[Tensor], mask: Tensor) -> Tensor:
    """A function of rows on rows of equal length together, each without its filling.

    What it gives for a row is what it gives for that row alone. A function that gives one value for
    all rows (a relation between them) is called once, as it is. Rows of filling alone give 0.

    Shapes:
        inputs: [B, ...]; those with positions (`kept_places`) are cut, tokens as maps [b, D, 1, n].
        Returns [B, ...] as the function gives it; a map of positions is filled up with 0 again.

    >>> x, mask = torch.tensor([[[[2.0, 9.0]]], [[[1.0, 3.0]]]]), torch.tensor([[1, 0], [1, 1]])
    >>> by_length(lambda each: each.flatten(1).mean(1), [x], mask).tolist()
    [2.0, 2.0]
    """
    if all(kept_places(x, mask) is None for x in inputs):
        return call(*inputs)
    inputs = [_as_row(x, mask) for x in inputs]
    counts = mask.bool().sum(1)
    lengths = [length for length in counts.unique().tolist() if length]
    if lengths == [mask.shape[1]] and bool((counts == lengths[0]).all()):
        return call(*inputs)
    whole: Tensor | None = None
    for length in lengths:
        rows = (counts == length).nonzero()[:, 0]
        places = mask.bool()[rows].nonzero()[:, 1].view(len(rows), length)
        found = call(*(_cut(x, rows, places, mask) for x in inputs))
        if found.ndim == 0 or len(found) != len(rows):
            return call(*inputs)
        if found.ndim == MAP and found.shape[3] == length and length > 1:
            found = _filled_up(found, places, mask.shape[1])
        if whole is None:
            whole = found.new_zeros(len(mask), *found.shape[1:])
        whole = whole.index_copy(0, rows, found)
    return call(*inputs) if whole is None else whole


def _last(x: Tensor) -> Tensor:
    """Channels behind the positions."""
    return x if x.ndim == TOKENS else x.movedim(1, -1)


def _as_row(x: Tensor, mask: Tensor) -> Tensor:
    """Tokens as a map of one row; anything else as it is."""
    return x.mT[:, :, None] if x.ndim == TOKENS and kept_places(x, mask) is not None else x


def _cut(x: Tensor, rows: Tensor, places: Tensor, mask: Tensor) -> Tensor:
    if kept_places(x, mask) is None:
        return x[rows] if x.ndim and len(x) == len(mask) else x
    x = x[rows]
    if x.shape[2] > 1:
        x = x.take_along_dim(places[:, None, :, None], 2)
    return x.take_along_dim(places[:, None, None, :], 3)


def _filled_up(x: Tensor, places: Tensor, length: int) -> Tensor:
    """A map [b, C, 1 or n, n] at its places among so many."""
    at = places[:, None, None, :].expand_as(x)
    wide = x.new_zeros(*x.shape[:3], length).scatter(3, at, x)
    if x.shape[2] == 1:
        return wide
    at = places[:, None, :, None].expand_as(wide)
    return x.new_zeros(*x.shape[:2], length, length).scatter(2, at, wide)
