"""Many comparisons at once: what the smallest of them may still mean."""

from collections.abc import Sequence


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Step-down correction for several comparisons; None stays None and counts for none.

    Sorted ascending, p(1) <= ... <= p(N): the corrected p(i) = max over j <= i of
    min(1, (N - j + 1) p(j)). Rejecting where it is below a level keeps the chance of even one
    wrong finding below that level, whatever depends on what. Holm, Scand. J. Statist. 6 (1979).

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    order = sorted((value, at) for at, value in enumerate(p) if value is not None)
    corrected: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, at) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * value))
        corrected[at] = highest
    return corrected


def holm_by_family(
    p: Sequence[float | None], primary: Sequence[bool] | None = None
) -> list[float | None]:
    """Holm's correction over the primary comparisons, and over the others, each by themselves.

    Args:
        p: of each comparison; None is of none.
        primary: which comparisons were named before; None: all are one family.

    >>> holm_by_family([0.02, 0.04, 0.03], [True, False, False])
    [0.02, 0.06, 0.06]
    """
    if primary is None:
        return holm(p)
    first = holm([each if named else None for each, named in zip(p, primary, strict=True)])
    rest = holm([None if named else each for each, named in zip(p, primary, strict=True)])
    return [a if named else b for a, b, named in zip(first, rest, primary, strict=True)]
