"""Pairs of images, and how alike their embeddings are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.errors import DataError

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
CHUNK = 2**22
"""Values of embeddings at once: 32 MB of each side of the pairs."""


@dataclass(frozen=True)
class Pairs:
    """Which images are compared.

    Args:
        first, second: rows of the images; [N].
        same: whether both show one person (are of one class); [N].
        fold: the fold of each pair as its list says, see `folds.fold_accuracy`; [N]. None where
            there are no folds.
    """

    first: Whole
    second: Whole
    same: npt.NDArray[np.bool_]
    fold: Whole | None = None

    def __len__(self) -> int:
        return len(self.first)


def all_pairs(person: npt.ArrayLike) -> Pairs:
    """Each image with each other one, once: M (M - 1) / 2 pairs.

    Args:
        person: who is on each image (its class); [M].

    Raises:
        DataError: no two images are of one person, or all are.

    >>> pairs = all_pairs([7, 7, 3])
    >>> pairs.first.tolist(), pairs.second.tolist(), pairs.same.tolist()
    ([0, 0, 1], [1, 2, 2], [True, False, False])
    """
    who = np.asarray(person)
    first, second = np.triu_indices(len(who), 1)
    same = who[first] == who[second]
    if not same.any() or same.all():
        missing = "no person (class) has two" if not same.any() else "all are of one person (class)"
        raise DataError(
            f"verification compares images of the same and of different people; of {len(who)} "
            f"images {missing}; give two people or more, some of them with two images or more"
        )
    return Pairs(first.astype(np.int64), second.astype(np.int64), same)


def flip_sum(embedding: npt.ArrayLike, mirrored: npt.ArrayLike) -> Floats:
    """The embedding of an image and that of its mirror image, added: ``z(x) + z(mirror x)``.

    As they are, before either has unit length: insightface's evaluation.

    Shapes:
        embedding, mirrored: [M, D]; returns [M, D], float64.

    Raises:
        DataError: of different shapes, or not finite.

    >>> flip_sum([[3.0, 0.0]], [[1.0, 2.0]]).tolist()
    [[4.0, 2.0]]
    """
    first, second = _finite(embedding), _finite(mirrored)
    if first.shape != second.shape:
        raise DataError(
            f"embeddings {list(first.shape)} and those of mirrored images {list(second.shape)} "
            "are to have one shape"
        )
    return first + second


def pair_cosines(embedding: npt.ArrayLike, pairs: Pairs) -> Floats:
    """The cosine of the two embeddings of each pair: ``z_a . z_b / (|z_a| |z_b|)``, in float64.

    Shapes:
        embedding: [M, D]; returns [N].

    Args:
        embedding: of each image.
        pairs: rows of it.

    Raises:
        DataError: an embedding that is not finite or has no direction, or a pair of an image that
            there is not.

    >>> pair = Pairs(np.array([0]), np.array([1]), np.array([True]))
    >>> pair_cosines([[3.0, 4.0], [2.0, 0.0]], pair).tolist()
    [0.6...]
    """
    rows = _finite(embedding)
    for side in (pairs.first, pairs.second):
        wrong = np.flatnonzero((side < 0) | (side >= len(rows)))
        if len(wrong):
            raise DataError(
                f"pair {wrong[0]} names image {side[wrong[0]]}; there are {len(rows)} images, 0 to "
                f"{len(rows) - 1}"
            )
    length = np.linalg.norm(rows, axis=1)
    if not length.all():
        row = int(np.flatnonzero(length == 0)[0])
        raise DataError(
            f"the embedding of image {row} is 0 everywhere: it has no direction to compare "
            f"({int((length == 0).sum())} of {len(rows)} images); is the network trained?"
        )
    unit = rows / length[:, None]
    step = max(1, CHUNK // max(1, rows.shape[1]))
    starts = range(0, len(pairs.first), step)
    parts = [slice(start, start + step) for start in starts]
    found = [np.einsum("nd,nd->n", unit[pairs.first[p]], unit[pairs.second[p]]) for p in parts]
    return np.concatenate(found) if found else np.empty(0)


def _finite(embedding: npt.ArrayLike) -> Floats:
    rows = np.asarray(embedding, dtype=np.float64)
    if rows.ndim != 2:
        raise DataError(
            f"embeddings are {list(rows.shape)}; wanted is a row for each image, [M, D]"
        )
    bad = ~np.isfinite(rows).all(1)
    if bad.any():
        raise DataError(
            f"the embedding of image {int(np.flatnonzero(bad)[0])} has values that are nan or "
            f"infinite ({int(bad.sum())} of {len(rows)} images); nothing can be compared with it: "
            "look at the network's weights and at the images"
        )
    return rows
