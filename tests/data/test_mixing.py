"""Mixed images equal a loop by the published formulas, in any batch, table and process."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.mixing import LAM, PARTNER_LABEL, Mixing, symmetric_beta
from stillhouse.data.tables import FloatTable, ImageTable, RepeatedTable, SampleTable
from stillhouse.data.views import PLAIN_VIEW, keys, uniform, uniforms
from stillhouse.errors import DataError

SEED, VIEW, COUNT = 5, 3, 40
BOTH = {"mixup": 0.4, "cutmix": 1.0}
STRONG = {"crop": 1, "flip": True, "rotate": 9.0, "scale": 1.3, "blur": 0.7, "fade": 0.4}


def naive(
    own: Tensor, other: Tensor, row: int, mixup: float, cutmix: float
) -> tuple[Tensor, float]:
    """One image, in float64: Zhang et al., equation 1, or Yun et al., equations 1 and 2."""
    kind, u, v, down, right = (
        uniform(SEED, torch.tensor([row]), VIEW, draw).double().item() for draw in range(257, 262)
    )
    by_box = kind < 0.5 if mixup and cutmix else bool(cutmix)
    alpha = cutmix if by_box else mixup
    t = math.sqrt(2 * alpha * (u ** (-1 / alpha) - 1)) * math.cos(2 * math.pi * v)  # Bailey
    lam = round(65536 * (0.5 + t / 2 / math.sqrt(2 * alpha + t * t))) / 65536  # Student t to beta
    if not by_box:
        return lam * own.double() + (1 - lam) * other.double(), lam
    result, (height, width) = own.double().clone(), own.shape[1:]
    half = [int(side * math.sqrt(1 - lam)) // 2 for side in (height, width)]
    middle = int(down * height), int(right * width)
    area = 0
    for y in range(height):
        for x in range(width):
            if all(-h <= at - m < h for at, m, h in zip((y, x), middle, half, strict=True)):
                result[:, y, x] = other.double()[:, y, x]
                area += 1
    return result, 1 - area / (height * width)


def serve(table: Any, **more: Any) -> Batches:
    options = {"batch_size": 8, "view_seed": SEED, **more}
    return Batches(table, options.pop("augment", plain(**BOTH)), **options)


def plain(**options: Any) -> Augment:
    return Augment((0.5,) * 3, (0.25,) * 3, **options)


@pytest.mark.parametrize(
    "alphas", [{"mixup": 0.4}, {"cutmix": 1.0}, BOTH], ids=["up", "cut", "both"]
)
def test_a_mixed_batch_equals_a_loop_over_images(table: ImageTable, alphas: Any) -> None:
    augment, rows = plain(crop=2, flip=True, **alphas), torch.arange(COUNT)
    batch = serve(table, augment=augment).show(rows, VIEW)
    partners = [(row + 1 + (keys(SEED, rows[row], VIEW, 256).item() % 2**63) % 39) % 40
                for row in range(COUNT)]  # fmt: skip
    views = augment.unmixed.view(table.images, seed=SEED, index=rows, view=VIEW)
    for row, partner in enumerate(partners):
        wanted, lam = naive(views[row], views[partner], row, alphas.get("mixup", 0),
                            alphas.get("cutmix", 0))  # fmt: skip
        torch.testing.assert_close(batch["batch.image"][row].double(), wanted, rtol=0, atol=1e-6)
        assert batch[LAM][row].item() == pytest.approx(lam, abs=1e-7)
    assert torch.equal(batch[PARTNER_LABEL], table.labels[partners])
    assert torch.equal(batch["batch.label"], table.labels)
    assert batch["batch.lookup"].tolist() == [[row, VIEW] for row in range(COUNT)]
    assert batch["batch.image"].is_contiguous(memory_format=torch.channels_last)
    assert all(row != other for row, other in enumerate(partners))


class Coloured:
    """Samples of a dataset: an image of one colour, drawn under the seed of its view."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.full((3, 6, 6), row / 8) + torch.rand(3, 6, 6), row % 3


def floats() -> FloatTable:
    return FloatTable(torch.rand(30, 6, 6, 3), torch.arange(30) % 3)


def served(kind: str, table: ImageTable) -> Batches:
    rows = torch.arange(COUNT)
    samples = SampleTable(Coloured(), rows % 3, rows)
    strong = plain(**STRONG, **BOTH)
    return {
        "pixels": lambda: serve(table, augment=strong),
        "floats": lambda: serve(floats(), augment=strong),
        "repeated": lambda: serve(RepeatedTable.of(floats(), 70), augment=strong),
        "samples": lambda: serve(samples, augment=strong),
        "transform": lambda: serve(table, transform=lambda x: x.float() + torch.rand(3, 8, 8)),
    }[kind]()


@pytest.mark.parametrize("kind", ["pixels", "floats", "repeated", "samples", "transform"])
def test_a_mixed_image_is_the_same_in_any_batch_order_and_process(
    kind: str, table: ImageTable
) -> None:
    torch.manual_seed(0)
    batches = replace(served(kind, table), views=2)
    whole = batches.show(torch.arange(batches.rows), 1)
    assert not torch.equal(
        whole["batch.image"], batches.show(torch.arange(batches.rows), 0)["batch.image"]
    )
    parts = [replace(batches, rank=rank, world=2, order_seed=9) for rank in range(2)]
    shown = [batch for part in parts for batch in part.epoch(3, start=1)]
    shown += list(batches.shown([torch.tensor([7]), torch.arange(13).flip(0)], 1))
    assert len(shown) == 2 * (len(batches) - 1) + 2
    for batch in shown:
        assert batch.keys() == whole.keys()
        for name, value in batch.items():
            assert torch.equal(value, whole[name][batch["batch.index"]]), name
    unmixed = next(iter(batches.once()))
    assert not {LAM, PARTNER_LABEL} & unmixed.keys(), "what is measured is never mixed"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_loader_processes_change_no_bit() -> None:
    rows = torch.arange(COUNT)
    here = serve(SampleTable(Coloured(), rows % 3, rows))
    for mine, theirs in zip(replace(here, workers=1).epoch(0), here.epoch(0), strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_samples_in_memory_and_from_a_dataset_are_mixed_alike(table: ImageTable) -> None:
    rows = torch.arange(COUNT)
    pairs = [(image.permute(2, 0, 1), 0) for image in table.images]
    one = serve(table).show(rows, 2)
    other = serve(SampleTable(pairs, table.labels, rows)).show(rows, 2)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_lambda_has_the_beta_distribution(alpha: float) -> None:
    drawn = symmetric_beta(*uniforms(1, torch.arange(20_000), 0, (0, 1)).double(), alpha)
    away = torch.rand(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    spread = (drawn + away / 65536).clamp(0, 1)  # what rounding took, so that ties do not count
    inner = spread[(spread > 1e-4) & (spread < 1 - 1e-4)].numpy()
    law = stats.beta(alpha, alpha)
    low, high = law.cdf(1e-4), law.cdf(1 - 1e-4)
    assert stats.kstest(inner, lambda x: (law.cdf(x) - low) / (high - low)).pvalue > 1e-3
    assert len(inner) / 20_000 == pytest.approx(high - low, abs=0.01)


def test_partners_are_spread_evenly_and_views_differ() -> None:
    mixing, index = Mixing(1.0, 0.0, rows=11), torch.arange(22_000)
    away = (mixing.partners(seed=0, index=index, view=0) - index) % 11
    counts = away.bincount(minlength=11)
    assert counts[0] == 0, "none is its own partner"
    assert stats.chisquare(counts[1:].numpy()).pvalue > 1e-3
    one, two = (mixing.partners(seed=0, index=torch.arange(11), view=v) for v in (0, 1))
    assert not torch.equal(one, two)


def test_a_row_alone_has_no_partner(table: ImageTable) -> None:
    with pytest.raises(
        DataError, match="mix an image with another training row, and there is only 1"
    ):
        serve(table.take(torch.tensor([3])), batch_size=1)


def test_mixing_off_leaves_identity_and_batches_as_they_were(table: ImageTable) -> None:
    assert plain().identity().keys() == {"mean", "std", "crop", "flip", "cutout"}
    assert plain(**BOTH).identity() == {**plain().identity(), **BOTH}
    assert plain(mixup=1.0).varies
    batch = serve(table, augment=plain(crop=1)).show(torch.arange(4), VIEW)
    assert not {LAM, PARTNER_LABEL} & batch.keys()
    assert PLAIN_VIEW == -1
