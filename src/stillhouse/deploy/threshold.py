"""From which cosine on two embeddings are said to be of one person, and how good that is."""

import numpy as np
import numpy.typing as npt

from stillhouse.records.schema import Record
from stillhouse.verification.curve import curve
from stillhouse.verification.pairs import Pairs

BALANCED = "largest (TAR + 1 - FAR) / 2"


class AtThreshold(Record):
    """Where a threshold comes from, and what it does on the test pairs, which did not choose it.

    Args:
        rule: by which it was chosen.
        chosen_on: of which pairs, with their number.
        test_pairs: how many it was then measured on.
        accuracy: share of the test pairs that are decided right.
        tar: share of test pairs of one person that are accepted.
        far: share of test pairs of different people that are accepted.
    """

    rule: str = BALANCED
    chosen_on: str
    test_pairs: int
    accuracy: float
    tar: float
    far: float

    def __str__(self) -> str:
        return (
            f"chosen on {self.chosen_on}; on {self.test_pairs:,} test pairs accuracy "
            f"{100 * self.accuracy:.1f}%, TAR {100 * self.tar:.1f}%, FAR {100 * self.far:.2f}%"
        )


def balanced_threshold(cosine: npt.ArrayLike, same: npt.ArrayLike) -> float:
    """The threshold of the best accuracy if as many pairs were of one person as of different ones.

    ``argmax_t (TAR(t) + 1 - FAR(t)) / 2``, a pair being accepted from t on. It is put amid the
    lowest score that is accepted and the next one, so that rounding decides no pair.

    Args:
        cosine: of each pair; [N].
        same: whether both are of one person; [N].

    Raises:
        DataError: see `curve`.

    >>> balanced_threshold([0.9, 0.5, 0.3, 0.1], [True, True, False, False])
    0.4
    """
    found = curve(cosine, same)
    at = int(np.argmax(found.tar - found.far))
    accepted = found.threshold[at]
    below = found.threshold[at + 1] if at + 1 < len(found.threshold) else -1.0
    return float(min(accepted, 1.0) + below) / 2


def measured_at(
    threshold: float, cosine: npt.ArrayLike, pairs: Pairs, chosen_on: str
) -> AtThreshold:
    """What a threshold does on pairs that did not choose it.

    >>> pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([True, False, False]))
    >>> found = measured_at(0.5, [0.9, 0.6, 0.1], pairs, "others")
    >>> round(found.accuracy, 3), found.tar, found.far
    (0.667, 1.0, 0.5)
    """
    accepted = np.asarray(cosine) >= threshold
    return AtThreshold(
        chosen_on=chosen_on,
        test_pairs=len(pairs),
        accuracy=float((accepted == pairs.same).mean()),
        tar=float(accepted[pairs.same].mean()),
        far=float(accepted[~pairs.same].mean()),
    )
