"""The figures of verification by the names of tables, of one network and of several resampled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from stillhouse.verification.curve import Ranked, area, curve, equal_error_rate, ranked
from stillhouse.verification.folds import fold_accuracies, fold_accuracy
from stillhouse.verification.pairs import Floats, Pairs, Whole
from stillhouse.verification.people import Resamples, resampled
from stillhouse.verification.rates import tar_at_far, tars_at_far

FARS = (0.1, 0.01, 0.001, 0.0001)
"""At which TAR is measured, where there are pairs enough to show such a rate."""

EER, AUC, ACCURACY = "EER", "AUC", "accuracy"

MOST_PAIRS = 250_000
"""Of which an interval is made: more of them say little more of the same people."""
VALUES = 2**24
"""Pairs times resamples of one network: half a second."""
LEAST_RESAMPLES, MOST_RESAMPLES = 200, 1000


def tar_name(far: float) -> str:
    """What TAR at a FAR is called in tables.

    >>> tar_name(0.001)
    'TAR at FAR 0.001'
    """
    return f"TAR at FAR {far:g}"


def figures(cosine: npt.ArrayLike, pairs: Pairs) -> dict[str, float]:
    """What is measured of compared pairs, by the names of tables.

    EER, AUC, TAR at each of `FARS` that the pairs can show, and accuracy where they have folds.

    Raises:
        DataError: see `curve`.

    >>> pairs = Pairs(*np.array([[0, 0], [1, 2]]), np.array([True, False]))
    >>> figures([0.9, 0.1], pairs)
    {'EER': 0.0, 'AUC': 1.0}
    """
    found = curve(cosine, pairs.same)
    known = {EER: float(equal_error_rate(found)), AUC: float(area(found))}
    fold = _folds(pairs)
    if fold is not None:
        known[ACCURACY] = fold_accuracy(cosine, pairs.same, fold).mean
    return known | {tar_name(far): tar_at_far(found, far).tar for far in shown_fars(pairs)}


def shown_fars(pairs: Pairs) -> tuple[float, ...]:
    """Those of `FARS` that so many pairs of different people can show.

    >>> pairs = Pairs(*np.array([[0] * 11, range(1, 12)]), np.arange(11) == 0)
    >>> shown_fars(pairs)
    (0.1,)
    """
    different = int((~pairs.same).sum())
    return tuple(far for far in FARS if far * different >= 1 - 1e-9)


def left_out(pairs: Pairs, who: str = "people") -> list[str]:
    """What is not measured of these pairs, and why, a sentence each.

    >>> pairs = Pairs(*np.array([[0] * 11, range(1, 12)]), np.arange(11) == 0)
    >>> left_out(pairs)[0]
    'TAR at FAR 0.01 needs 100 pairs of different people, there are 10.'
    """
    different = int((~pairs.same).sum())
    return [
        f"{tar_name(far)} needs {round(1 / far):,} pairs of different {who}, there are "
        f"{different:,}."
        for far in FARS
        if far not in shown_fars(pairs)
    ]


@dataclass(frozen=True)
class Weighted:
    """The figures of one network, of pairs that count so often; see `figures`.

    Args:
        cosine: of each pair; [N].
        pairs: that are compared.
        fars: at which TAR is measured; those that the whole list can show.
    """

    cosine: Floats
    pairs: Pairs
    fars: tuple[float, ...]
    ranked: Ranked

    def __call__(self, weight: Floats) -> Floats:
        """[R, N] -> [R, figures], in the order of `figures`."""
        found = self.ranked.curve(weight)
        columns = [equal_error_rate(found), area(found)]
        fold = _folds(self.pairs)
        if fold is not None:
            columns.append(fold_accuracies(self.cosine, self.pairs.same, fold, weight))
        columns += [tars_at_far(found, far) for far in self.fars]
        return np.stack(columns, axis=-1)


def over_people(
    cosines: Sequence[Floats], pairs: Pairs, person: npt.ArrayLike, *, resamples: int | None = None
) -> Resamples:
    """The figures of several networks on the same pairs, people resampled for all alike.

    Of more than `MOST_PAIRS` the drawn values are of a part of the pairs, moved to the values of
    all of them; the fewer pairs, the more resamples there are, 200 to 1,000.

    Args:
        cosines: of each network, [N] each.
        pairs: that are compared.
        person: who is on each image; [M].
        resamples: how often; None: as above.

    Returns:
        Values [networks, figures], in the order of `figures`.

    Raises:
        DataError: see `people.resampled` and `curve`.

    >>> pairs = Pairs(*np.array([[0, 0, 2], [1, 2, 3]]), np.array([True, False, True]))
    >>> found = over_people([np.array([0.9, 0.1, 0.8])], pairs, [7, 7, 3, 3], resamples=20)
    >>> found.value.tolist(), found.drawn.shape, found.people
    ([[0.0, 1.0]], (20, 1, 2), 2)
    """
    who, fars = np.asarray(person), shown_fars(pairs)
    part = np.arange(len(pairs)) if len(pairs) <= MOST_PAIRS else _part(pairs)
    fewer = Pairs(
        pairs.first[part],
        pairs.second[part],
        pairs.same[part],
        None if pairs.fold is None else pairs.fold[part],
    )
    measures = [
        Weighted(each[part], fewer, fars, ranked(each[part], fewer.same)) for each in cosines
    ]
    if resamples is None:
        resamples = min(MOST_RESAMPLES, max(LEAST_RESAMPLES, VALUES // len(fewer)))
    found = resampled(
        lambda weight: np.stack([measure(weight) for measure in measures], axis=1),
        who[fewer.first],
        who[fewer.second],
        resamples=resamples,
    )
    if len(fewer) == len(pairs):
        return found
    whole = np.array([list(figures(each, pairs).values()) for each in cosines])
    return replace(found, value=whole, drawn=found.drawn + (whole - found.value))


def _part(pairs: Pairs) -> Whole:
    """Of either kind up to half of `MOST_PAIRS`, and more where the other has fewer."""
    draw, half = np.random.default_rng(0), MOST_PAIRS // 2
    kinds = [np.flatnonzero(pairs.same), np.flatnonzero(~pairs.same)]
    counts = [len(kind) for kind in kinds]
    most = [min(counts[at], max(half, MOST_PAIRS - counts[1 - at])) for at in (0, 1)]
    taken = [draw.choice(kind, most[at], replace=False) for at, kind in enumerate(kinds)]
    return np.sort(np.concatenate(taken))


def _folds(pairs: Pairs) -> Whole | None:
    fold = pairs.fold
    return fold if fold is not None and len(np.unique(fold)) > 1 else None
