"""One rule for what may be said of a gain, for a run and for every arm of a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stillhouse.verdict.corrections import holm_by_family
from stillhouse.verdict.equivalence import outside_the_margin
from stillhouse.verdict.moderated import alone, half_width, prior, two_sided
from stillhouse.verdict.paired import Paired

LEVEL = 0.05
"""The field's custom: one family of comparisons in twenty may err where there is no difference."""
LEAST = 3
"""Seeds to judge by: with two, one gain must be nine times its standard deviation to be shown."""
CONFIDENCE = 0.95

HELPS, HURTS, NOT_SHOWN = "helps", "hurts", "no difference shown"
EQUIVALENT, TOO_FEW = "equivalent within the margin", "too few seeds to tell"
NO_CONTROL = "no control"


@dataclass(frozen=True)
class Judgement:
    """What may be said of one comparison.

    Args:
        mean: gain, positive where the student is better.
        low, high: of the 95 % interval of this comparison alone; None for one pair.
        p: two-sided, of this comparison alone; None for one pair.
        p_corrected: over the comparisons of its family; None where it is not judged.
        p_equivalent: of the two one-sided tests, corrected; None without a margin.
        word: helps, hurts, no difference shown, equivalent within the margin, or too few seeds to
            tell.
        count: seeds that both sides have.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    p_corrected: float | None
    p_equivalent: float | None
    word: str
    count: int


def judged(
    comparisons: Sequence[Paired | None],
    *,
    primary: Sequence[bool] | None = None,
    margin: float | None = None,
    level: float = LEVEL,
) -> list[Judgement | None]:
    """Judge comparisons that share data and budget: the arms of a study, or the one of a run.

    Each with at least three seeds has its moderated t-test (`stillhouse.verdict.moderated`). p is
    corrected by Holm, over the primary comparisons and over the others, each by themselves. Then,
    in this order: fewer than three seeds are too few to tell; a p below the level helps or hurts;
    with a margin, a difference that is shown to be smaller is equivalent; else none is shown.

    Args:
        comparisons: paired gains, one per arm; None where there is no pair, and stays None.
        primary: which were named before as the claims; None: all are one family.
        margin: a difference that does not matter, in the unit of the metric, said before.
        level: of each family.

    >>> arms = [Paired(0.02, 1e-4, 3), Paired(0.05, 2e-4, 3), Paired(0.0, 1e-4, 3), None]
    >>> [each and each.word for each in judged(arms)]
    ['no difference shown', 'helps', 'no difference shown', None]
    >>> judged(arms, margin=0.04)[2].word
    'equivalent within the margin'
    >>> judged([Paired(0.02, 1e-6, 2)])[0].word
    'too few seeds to tell'
    """
    enough = {at: one for at, one in enumerate(comparisons) if one and one.count >= LEAST}
    few = {at: one for at, one in enumerate(comparisons) if one and 1 < one.count < LEAST}
    tests = {**_tests(few, None, apart=True), **_tests(enough, margin)}
    places = range(len(comparisons))
    p = holm_by_family([tests[at].p if at in enough else None for at in places], primary)
    outside = holm_by_family(
        [tests[at].outside if at in enough else None for at in places], primary
    )
    return [
        None if one is None else _judgement(one, tests.get(at), p[at], outside[at], level)
        for at, one in enumerate(comparisons)
    ]


@dataclass(frozen=True)
class _Test:
    """Of one comparison alone: p, half-width of the interval, p of the two one-sided tests."""

    p: float
    half: float
    outside: float | None


def _tests(
    comparisons: Mapping[int, Paired], margin: float | None, *, apart: bool = False
) -> dict[int, _Test]:
    """The test of each; they share what they know of the variance, unless each stands apart."""
    if not comparisons:
        return {}
    several = list(comparisons.values())
    mean, variance = [one.mean for one in several], [one.variance or 0.0 for one in several]
    count = [one.count for one in several]
    known = alone() if apart else prior(variance, count)
    p = two_sided(mean, variance, count, known).tolist()
    half = half_width(variance, count, known, confidence=CONFIDENCE).tolist()
    outside: list[float | None] = [None] * len(several)
    if margin is not None:
        outside = outside_the_margin(mean, variance, count, known, margin=margin).tolist()
    return dict(zip(comparisons, map(_Test, p, half, outside), strict=True))


def _judgement(
    one: Paired, test: _Test | None, p: float | None, outside: float | None, level: float
) -> Judgement:
    return Judgement(
        mean=one.mean,
        low=None if test is None else one.mean - test.half,
        high=None if test is None else one.mean + test.half,
        p=None if test is None else test.p,
        p_corrected=p,
        p_equivalent=outside,
        word=said(one.mean, p, outside, level=level),
        count=one.count,
    )


def said(
    mean: float, p: float | None, outside: float | None = None, *, level: float = LEVEL
) -> str:
    """The word of a comparison, by its corrected p; None is too few seeds.

    >>> said(0.01, 0.03), said(-0.01, 0.03), said(0.01, 0.2), said(0.01, None)
    ('helps', 'hurts', 'no difference shown', 'too few seeds to tell')
    >>> said(0.01, 0.2, 0.01)
    'equivalent within the margin'
    """
    if p is None:
        return TOO_FEW
    if p < level:
        return HELPS if mean > 0 else HURTS
    return EQUIVALENT if outside is not None and outside < level else NOT_SHOWN
