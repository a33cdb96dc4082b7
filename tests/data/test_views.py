"""Views are those of a big-integer splitmix64, in any batch, order or process."""

import pytest
import torch
from scipy import stats

from stillhouse.data.augment import Augment
from stillhouse.data.views import keys, mix, sample_seeds, shuffled, uniform, uniforms

MASK = 2**64 - 1
SEEDS = [0, 1, 7, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -3]


def splitmix(x: int) -> int:
    """Steele, Lea, Flood, "Fast splittable pseudorandom number generators", figure 17."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def naive_key(seed: int, index: int, view: int, draw: int) -> int:
    x = splitmix((splitmix(seed & MASK) + index) & MASK)
    return splitmix((splitmix((x + view) & MASK) + draw) & MASK)


def unsigned(values: torch.Tensor) -> list[int]:
    return [value & MASK for value in values.tolist()]


def test_mix_equals_big_integers() -> None:
    made = torch.Generator().manual_seed(0)
    some = torch.randint(-(2**63), 2**63 - 1, (500,), generator=made)
    edges = torch.tensor([0, 1, -1, 2**63 - 1, -(2**63)])
    values = torch.cat([edges, some])
    assert unsigned(mix(values)) == [splitmix(value) for value in unsigned(values)]


def test_mix_equals_the_published_sequence() -> None:
    """The first outputs of splitmix64 from state 1234567, as in Vigna's reference code."""
    golden = 0x9E3779B97F4A7C15 - 2**64
    states = torch.tensor(1234567) + torch.arange(3) * golden
    assert unsigned(mix(states)) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_keys_and_draws_equal_big_integers(seed: int) -> None:
    index = torch.tensor([0, 1, 49_999, 2**40])
    for view in (-1, 0, 3, 239):
        for draw in (0, 1, 4, 1 << 32):
            wanted = [naive_key(seed, i, view, draw) for i in index.tolist()]
            assert unsigned(keys(seed, index, view, draw)) == wanted
            unit = [(key >> 40 & 0xFFFFFF) / 2**24 for key in wanted]
            assert uniform(seed, index, view, draw).tolist() == unit
            assert uniforms(seed, index, view, [9, draw])[1].tolist() == unit


def test_a_sample_seed_is_its_first_draw_without_the_sign() -> None:
    for seed in SEEDS:
        wanted = [naive_key(seed, row, 2, 0) & (2**63 - 1) for row in (5, 2**40)]
        assert sample_seeds(seed, torch.tensor([5, 2**40]), 2).tolist() == wanted
    rows = torch.arange(100)
    seeds = {seed for view in range(-1, 20) for seed in sample_seeds(0, rows, view).tolist()}
    assert len(seeds) == 2100


def test_a_draw_depends_on_the_sample_alone() -> None:
    index = torch.randperm(1000, generator=torch.Generator().manual_seed(1))
    whole = uniform(3, index, 5, 2)
    parts = torch.cat([uniform(3, some, 5, 2) for some in index.split(7)])
    assert torch.equal(whole, parts)
    back = torch.empty(1000)
    back[index] = whole
    assert torch.equal(back, uniform(3, torch.arange(1000), 5, 2))


def below(seed: int, index: torch.Tensor, view: int, draw: int, n: int) -> torch.Tensor:
    """A place among n, as the augmentation draws it."""
    return (uniform(seed, index, view, draw) * n).long()


@pytest.mark.parametrize("n", [1, 2, 3, 9, 1000, 2**20])
def test_whole_numbers_stay_below(n: int) -> None:
    numbers = below(0, torch.arange(100_000), 0, 0, n)
    assert 0 <= numbers.min() <= n // 1000
    assert n - 1 - n // 1000 <= numbers.max() < n


@pytest.mark.parametrize("change", ["seed", "view", "draw", "index"])
def test_neighbours_are_independent(change: str) -> None:
    """Chi-square of pairs of draws that differ by one in one argument, on an 8 x 8 table."""
    index = torch.arange(0, 40_000, 2)
    arguments = {"seed": 11, "index": index, "view": 4, "draw": 1}
    other = {**arguments, change: arguments[change] + 1}
    a, b = (below(**some, n=8) for some in (arguments, other))
    counts = torch.zeros(8, 8).index_put_((a, b), torch.ones(()), accumulate=True)
    assert stats.chisquare(counts.flatten().numpy()).pvalue > 1e-4


def test_an_order_is_a_permutation_of_its_own() -> None:
    orders = [tuple(shuffled(seed, epoch, 50).tolist()) for seed in range(3) for epoch in range(5)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(orders)) == 15
    assert torch.equal(shuffled(1, 2, 50), shuffled(1, 2, 50))
    assert shuffled(0, 0, 0).tolist() == []


def test_each_place_of_an_order_is_uniform() -> None:
    places = torch.stack([shuffled(seed, 3, 10) for seed in range(2000)])
    for place in (0, 4, 9):
        counts = places[:, place].bincount(minlength=10)
        assert stats.chisquare(counts.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("epoch", [0, 3])
def test_the_order_tells_nothing_of_the_view(epoch: int) -> None:
    """With equal seeds an order by the draw of the crop gave each batch one crop for all."""
    seed, n, batch = 0, 8192, 64
    order = shuffled(seed, epoch, n)
    for draw in range(6):
        numbers = below(seed, order, epoch, draw, 8).reshape(-1, batch)
        counts = torch.stack([row.bincount(minlength=8) for row in numbers])
        assert stats.chi2_contingency(counts.numpy()).pvalue > 1e-4


def test_an_image_has_its_view_in_any_batch() -> None:
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 9, 7, 3), generator=made).to(torch.uint8)
    augment = Augment((0.5,) * 3, (0.25,) * 3, crop=2, flip=True, cutout=3)
    index = torch.arange(100, 140)
    whole = augment.view(images, seed=5, index=index, view=2)
    order = torch.randperm(40, generator=made)
    mixed = augment.view(images[order], seed=5, index=index[order], view=2)
    assert torch.equal(mixed, whole[order])
    alone = [
        augment.view(images[i : i + 1], seed=5, index=index[i : i + 1], view=2) for i in range(40)
    ]
    assert torch.equal(torch.cat(alone), whole)
    assert not torch.equal(augment.view(images, seed=5, index=index, view=3), whole)
    assert not torch.equal(augment.view(images, seed=6, index=index, view=2), whole)
