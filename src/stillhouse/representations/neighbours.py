"""Nearest neighbours in a space of embeddings: whether two spaces agree on them, and their votes.

Neighbours are by cosine, in float64. Equal cosines are ordered by row, so that a result is a
function of the numbers alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.errors import DataError

NEIGHBOURS = 10
"""How many neighbours two spaces are to agree on: our choice."""
VOTERS = 20
"""How many neighbours vote: usually best of 10, 20, 100 and 200 in DINOv2; the one of RADIO."""
TEMPERATURE = 0.07
"""Of the votes' weights: DINOv2 and RADIO."""
BLOCK_VALUES = 1 << 22
"""Cosines that are held at once: 32 MiB."""


def neighbour_overlap(a: Tensor, b: Tensor, *, k: int = NEIGHBOURS) -> Tensor:
    """Of each row, which share of its k nearest other rows is the same in both spaces.

    ``|N_a(i) & N_b(i)| / k``, with N(i) the k rows of largest cosine to row i, itself left out. 1
    where both spaces have the same neighbours whatever their rotation, scale and width; of two
    that have nothing to do with each other ``k / (N - 1)``, see `chance_of_overlap`. So it depends
    on N: compare values of one table only.

    Shapes:
        a: [N, ...]; b: [N, ...], each of its own width; returns [N], float64.

    Raises:
        DataError: the numbers of rows differ, there are not more than k rows, or an embedding is
            not finite.

    >>> a = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> neighbour_overlap(a, 3.0 * a.flip(1), k=1).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    if len(a) != len(b):
        raise DataError(f"neighbours of {len(a)} rows and of {len(b)}; give both for the same rows")
    if not 0 < k < len(a):
        raise DataError(
            f"{k} nearest neighbours of a row among {len(a)} rows; give more than {k} rows"
        )
    mine, theirs = (_nearest_others(_directions(x), k) for x in (a, b))
    same = (mine[:, :, None] == theirs[:, None, :]).any(2)
    return same.double().mean(1)


def chance_of_overlap(rows: int, *, k: int = NEIGHBOURS) -> float:
    """The overlap of two spaces that have nothing to do with each other: ``k / (N - 1)``.

    >>> chance_of_overlap(101)
    0.1
    """
    return k / (rows - 1)


def neighbour_votes(
    embedding: Tensor,
    known: Tensor,
    labels: Tensor,
    *,
    k: int = VOTERS,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """What the k nearest rows of known class say of each row: shares of their votes by class.

    A neighbour votes for its class with weight ``exp(cos / temperature)``; the shares of all
    classes sum to 1. The largest one is the class: ``argmax(1)``.

    Shapes:
        embedding: [M, D]; known: [N, D]; labels: [N] int64 of the known rows; returns [M, C]
        float64, with C one more than the largest label.

    Args:
        embedding: rows that are to be classified.
        known: rows whose class is known.
        labels: of these.
        k: how many vote; all where there are fewer known rows.
        temperature: above 0.

    Paper: Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", arXiv
        2304.07193, by its released evaluation.

    Raises:
        DataError: widths or counts differ, or an embedding is not finite.

    >>> known, labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> neighbour_votes(torch.tensor([[5.0, 1.0]]), known, labels).argmax(1).tolist()
    [0]
    """
    if len(known) != len(labels) or not len(known):
        raise DataError(f"{len(known)} known rows and {len(labels)} labels; give one label each")
    if embedding.flatten(1).shape[1] != known.flatten(1).shape[1]:
        raise DataError("rows and known rows differ in width; give embeddings of one network")
    ours, theirs = _directions(embedding), _directions(known)
    k, classes = min(k, len(known)), int(labels.max()) + 1
    votes = [
        _votes(*_largest(block @ theirs.T, k), labels.cpu(), classes, temperature)
        for block in ours.split(max(1, BLOCK_VALUES // len(theirs)))
    ]
    return torch.cat(votes)


def _votes(
    cosines: Tensor, nearest: Tensor, labels: Tensor, classes: int, temperature: float
) -> Tensor:
    weights = (cosines / temperature).softmax(1)
    return (F.one_hot(labels[nearest], classes).double() * weights[:, :, None]).sum(1)


def _nearest_others(x: Tensor, k: int) -> Tensor:
    """The numbers of the k nearest other rows of each row, [N, k]."""
    found = []
    for rows in torch.arange(len(x)).split(max(1, BLOCK_VALUES // len(x))):
        cosines = x[rows] @ x.T
        cosines[torch.arange(len(rows)), rows] = -torch.inf
        found.append(_largest(cosines, k)[1])
    return torch.cat(found)


def _largest(cosines: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row and where they are, the first of equals first."""
    values, places = cosines.sort(dim=1, descending=True, stable=True)
    return values[:, :k], places[:, :k]


def _directions(x: Tensor) -> Tensor:
    """Each row at length 1, in float64; a row of zeros stays one."""
    rows = x.detach().cpu().flatten(1).double()
    if not bool(rows.isfinite().all()):
        bad = int((~rows.isfinite()).any(1).nonzero()[0, 0])
        raise DataError(f"the embedding of row {bad} holds nan or inf, and has no neighbours")
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / lengths.masked_fill(lengths == 0, 1.0)
