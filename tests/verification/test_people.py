"""Intervals over people: against pairs of people who are written out as often as they are drawn."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import combinations

import numpy as np
import pytest

from stillhouse.errors import DataError
from stillhouse.verification import people as room
from stillhouse.verification.curve import Curve, area, curve, equal_error_rate
from stillhouse.verification.pairs import Pairs, all_pairs, pair_cosines
from stillhouse.verification.people import Measure, gain_over_people, over_people
from stillhouse.verification.rates import tar_at_far, tars_at_far


def drawn(people: int, images: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of so many images of each of some people, who are more or less alike."""
    draw = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), images)
    centres = draw.normal(size=(people, 8))
    return centres[who] + noise * draw.normal(size=(len(who), 8)), who


def test_a_resample_is_the_people_written_out() -> None:
    """Each copy of a person is somebody of their own, but never a pair with another copy."""
    embedding, who = drawn(5, 3, 1.0)
    pairs = all_pairs(who)
    score, seen = pair_cosines(embedding, pairs), []

    def measure(weight: np.ndarray) -> np.ndarray:
        seen.append(weight)
        return area(curve(score, pairs.same, weight))

    found = over_people(measure, who[pairs.first], who[pairs.second], resamples=20, seed=4)
    draw = np.random.default_rng(4)
    wanted = []
    for weight, often in zip(
        np.concatenate(seen[1:]), draw.multinomial(5, [0.2] * 5, 20), strict=True
    ):
        copies = [(person, copy) for person in range(5) for copy in range(often[person])]
        rows = [(row, c) for c in copies for row in np.flatnonzero(who == c[0])]
        counted = Counter(
            (min(i, j), max(i, j))
            for (i, one), (j, other) in combinations(rows, 2)
            if one == other or one[0] != other[0]
        )
        by_hand = [counted[i, j] for i, j in zip(pairs.first, pairs.second, strict=True)]
        assert weight.tolist() == by_hand
        if not all(w == 0 for w, one in zip(by_hand, pairs.same, strict=True) if not one):
            wanted.append(float(area(curve(score, pairs.same, by_hand))))
    assert found.resamples == len(wanted)
    assert found.value == float(area(curve(score, pairs.same)))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(wanted, [0.025, 0.975])))
    assert found.error == pytest.approx(np.std(wanted, ddof=1))


def test_a_gain_is_of_the_same_people_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two networks that are wrong about the same people: their gain is known better than either."""
    embedding, who = drawn(30, 4, 1.0)
    pairs = all_pairs(who)
    sides = who[pairs.first], who[pairs.second]
    worse = embedding + 0.4 * np.random.default_rng(9).normal(size=embedding.shape)

    def tar(embedding: np.ndarray) -> Measure:
        score = pair_cosines(embedding, pairs)
        return lambda weight: tars_at_far(curve(score, pairs.same, weight), 0.01)

    alone = [over_people(tar(z), *sides, resamples=300) for z in (embedding, worse)]
    gain = gain_over_people(tar(embedding), tar(worse), *sides, resamples=300)
    assert gain.value == alone[0].value - alone[1].value
    assert alone[0].value == tar_at_far(curve(pair_cosines(embedding, pairs), pairs.same), 0.01).tar
    assert gain.low <= gain.value <= gain.high
    assert gain.error < 0.8 * np.hypot(alone[0].error, alone[1].error)
    none = gain_over_people(tar(embedding), tar(embedding), *sides, resamples=20)
    assert (none.value, none.low, none.high, none.people) == (0.0, 0.0, 0.0, 30)
    monkeypatch.setattr(room, "CHUNK", 50_000)
    assert over_people(tar(embedding), *sides, resamples=300) == alone[0], "in pieces the same"


def test_too_few_people_are_refused() -> None:
    with pytest.raises(DataError, match="people are resampled, and there are 1"):
        over_people(lambda w: w.sum(-1), [3, 3], [3, 3])
    with pytest.raises(DataError, match="of 40 resamples of 2 people 0 have pairs"):
        over_people(lambda w: w.sum(-1) * np.nan, [0, 1], [0, 1], resamples=40)


def all_of_few_people(draw: np.random.Generator) -> tuple[np.ndarray, ...]:
    """20 people with 6 images each, all pairs."""
    embedding, who = uneven(draw, 20, 6)
    pairs = all_pairs(who)
    return pair_cosines(embedding, pairs), pairs.same, who[pairs.first], who[pairs.second]


def few_of_many_people(draw: np.random.Generator, people: int = 400) -> tuple[np.ndarray, ...]:
    """A list such as LFW's: hardly anybody is in two of its pairs."""
    embedding, who = uneven(draw, people, 2)
    count = 3 * people // 4
    one, other = draw.integers(0, people, (2, 4 * count))
    apart = np.flatnonzero(one != other)[:count]
    of_one = draw.permutation(people)[:count]
    first = np.concatenate([2 * of_one, 2 * one[apart]])
    second = np.concatenate([2 * of_one + 1, 2 * other[apart] + 1])
    pairs = Pairs(first, second, np.arange(2 * count) < count)
    return pair_cosines(embedding, pairs), pairs.same, who[first], who[second]


def uneven(draw: np.random.Generator, people: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Some people look less like themselves than others do."""
    who = np.repeat(np.arange(people), images)
    noise = np.exp(0.3 * draw.normal(size=people))[who, None]
    return draw.normal(size=(people, 8))[who] + noise * draw.normal(size=(len(who), 8)), who


MEASURES: list[Callable[[Curve], np.ndarray]] = [
    area,
    equal_error_rate,
    partial(tars_at_far, far=0.03),
]


def measured(
    measure: Callable[[Curve], np.ndarray], score: np.ndarray, same: np.ndarray
) -> Measure:
    return lambda weight: measure(curve(score, same, weight))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pairs_of", "least", "most"),
    [(all_of_few_people, 0.90, 0.98), (few_of_many_people, 0.97, 1.0)],
)
def test_how_often_an_interval_of_95_percent_covers_what_holds_for_all_people(
    pairs_of: Callable[[np.random.Generator], tuple[np.ndarray, ...]], least: float, most: float
) -> None:
    """About right where people are in many pairs, cautious where they are in few."""
    score, same, *_ = few_of_many_people(np.random.default_rng(123), 60_000)
    truth = [float(measure(curve(score, same))) for measure in MEASURES]
    covered = np.zeros(len(MEASURES))
    for trial in range(200):
        score, same, *sides = pairs_of(np.random.default_rng(1000 + trial))
        for place, measure in enumerate(MEASURES):
            found = over_people(measured(measure, score, same), *sides, resamples=200, seed=trial)
            covered[place] += found.low <= truth[place] <= found.high
    share = covered / 200
    assert ((least <= share) & (share <= most)).all(), share
