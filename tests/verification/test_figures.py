"""All figures of several networks, resampled together: each against what measures it alone."""

import numpy as np
import pytest

from stillhouse.verification import figures as room
from stillhouse.verification.curve import curve, equal_error_rate
from stillhouse.verification.figures import figures, left_out, over_people
from stillhouse.verification.folds import fold_accuracies
from stillhouse.verification.pairs import Pairs, all_pairs, pair_cosines
from stillhouse.verification.people import gain_over_people
from stillhouse.verification.people import over_people as one_over_people
from stillhouse.verification.rates import tars_at_far


def drawn(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    who = np.repeat(np.arange(6), 4)
    return draw.normal(size=(6, 8))[who] + noise * draw.normal(size=(24, 8)), who


def test_figures_resampled_together_are_those_resampled_alone() -> None:
    good, who = drawn(0.6)
    pairs = all_pairs(who)
    pairs = Pairs(pairs.first, pairs.second, pairs.same, np.arange(len(pairs)) % 3)
    cosines = [pair_cosines(z, pairs) for z in (good, drawn(2.0)[0])]
    sides = who[pairs.first], who[pairs.second]
    found = over_people(cosines, pairs, who, resamples=50)
    names = list(figures(cosines[0], pairs))
    assert names == ["EER", "AUC", "accuracy", "TAR at FAR 0.1", "TAR at FAR 0.01"]
    for at, cosine in enumerate(cosines):
        assert found.value[at].tolist() == pytest.approx(list(figures(cosine, pairs).values()))

    def eer(cosine: np.ndarray):
        return lambda weight: equal_error_rate(curve(cosine, pairs.same, weight))

    one = found.of(lambda value: value[..., 0, 0]).interval()
    assert one == one_over_people(eer(cosines[0]), *sides, resamples=50)
    gain = found.of(lambda value: value[..., 0, 0] - value[..., 1, 0]).interval()
    assert gain == gain_over_people(eer(cosines[0]), eer(cosines[1]), *sides, resamples=50)
    for name, measure in (
        ("accuracy", lambda w: fold_accuracies(cosines[1], pairs.same, pairs.fold, w)),
        ("TAR at FAR 0.1", lambda w: tars_at_far(curve(cosines[1], pairs.same, w), 0.1)),
    ):
        at = names.index(name)
        mine = found.of(lambda value, at=at: value[..., 1, at]).interval()
        assert mine == one_over_people(measure, *sides, resamples=50)


def test_of_many_pairs_the_interval_is_of_a_part_and_the_value_of_all(monkeypatch) -> None:
    z, who = drawn(1.0)
    pairs = all_pairs(who)
    cosine = pair_cosines(z, pairs)
    whole = over_people([cosine], pairs, who, resamples=60)
    monkeypatch.setattr(room, "MOST_PAIRS", 150)
    part = over_people([cosine], pairs, who, resamples=60)
    assert part.value.tolist() == whole.value.tolist()
    spreads = [np.nanstd(each.drawn[:, 0, 1]) for each in (part, whole)]
    assert spreads[0] != spreads[1]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.5)


def test_rates_that_the_pairs_cannot_show_are_named() -> None:
    same = np.arange(60) < 30
    pairs = Pairs(np.zeros(60, np.int64), np.ones(60, np.int64), same)
    assert left_out(pairs) == [
        "TAR at FAR 0.01 needs 100 pairs of different people, there are 30.",
        "TAR at FAR 0.001 needs 1,000 pairs of different people, there are 30.",
        "TAR at FAR 0.0001 needs 10,000 pairs of different people, there are 30.",
    ]
