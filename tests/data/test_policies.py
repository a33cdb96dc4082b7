"""What is drawn for each image: boxes, operations, strengths; the same in any batch."""

import math
from collections import Counter

import pytest
import torch
from scipy import stats

from stillhouse.data import policies
from stillhouse.data.augment import Augment
from stillhouse.data.boxes import BOX_DRAWS, random_boxes
from stillhouse.data.views import uniform, uniforms
from stillhouse.errors import DataError

MEAN, STD = (0.5,) * 3, (0.25,) * 3
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
NEW = {
    "resized_crop": {"resized_crop": 0.08, "flip": True},
    "jitter": JITTER,
    "erase": {"erase": 0.5},
    "randaugment": {"randaugment": 2},
    "trivial": {"trivial": True},
    "all": {"resized_crop": 0.3, "aspect": 2.0, "trivial": True, "erase": 1.0, **JITTER},
}


def pictures(count: int = 64) -> torch.Tensor:
    made = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 10, 13, 3), generator=made).to(torch.uint8)


@pytest.mark.parametrize("name", NEW)
def test_an_image_has_its_view_in_any_batch_and_order(name: str) -> None:
    augment, images, index = Augment(MEAN, STD, **NEW[name]), pictures(), torch.arange(64) + 3
    whole = augment.view(images, seed=5, index=index, view=2)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    mixed = augment.view(images[order], seed=5, index=index[order], view=2)
    assert torch.equal(whole[order], mixed)
    for parts in (1, 7, 32):  # world sizes and last batches
        pieces = zip(images.split(parts), index.split(parts), strict=True)
        shown = [augment.view(some, seed=5, index=rows, view=2) for some, rows in pieces]
        assert torch.equal(torch.cat(shown), whole)
    assert not torch.equal(augment.view(images, seed=5, index=index, view=3), whole)
    assert not torch.equal(augment.view(images, seed=6, index=index, view=2), whole)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, pictures())


@pytest.mark.parametrize("whole", [True, False])
def test_boxes_equal_a_loop_over_images(whole: bool) -> None:
    height, width, area, ratio = 12, 30, (0.08, 1.0), (3 / 4, 4 / 3)
    boxes, fits = random_boxes(
        (height, width), seed=1, index=torch.arange(150), view=2, draws=range(BOX_DRAWS),
        area=area, ratio=ratio, whole=whole,
    )  # fmt: skip
    drawn = uniforms(1, torch.arange(150), 2, range(BOX_DRAWS)).double().T.tolist()
    for row, draw in enumerate(drawn):
        wanted = None
        for k in range(10):
            share = height * width * (area[0] + (area[1] - area[0]) * draw[2 * k])
            low, high = math.log(ratio[0]), math.log(ratio[1])
            by = math.exp(low + (high - low) * draw[2 * k + 1])
            across, tall = round(math.sqrt(share * by)), round(math.sqrt(share / by))
            spare = 0 if whole else 1
            if 0 < across <= width - spare and 0 < tall <= height - spare:
                top, left = (
                    int(draw[20] * (height - tall + 1)),
                    int(draw[21] * (width - across + 1)),
                )
                wanted = [top, left, tall, across]
                break
        assert bool(fits[row]) == (wanted is not None)
        if wanted:
            assert boxes[row].tolist() == wanted


def test_operations_bins_and_signs_are_uniform(monkeypatch) -> None:
    asked = []

    def note(images, space, which, bins, negative):
        asked.append((which, bins, negative))
        return images

    monkeypatch.setattr(policies, "apply_choice", note)
    count = 14 * 500
    images, index = torch.zeros(count, 1, 1, 3, dtype=torch.uint8), torch.arange(count)
    Augment(MEAN, STD, trivial=True).view(images, seed=0, index=index, view=0)
    Augment(MEAN, STD, randaugment=2, magnitude=7).view(images, seed=0, index=index, view=0)
    for which, _, negative in asked:
        assert stats.chisquare(which.bincount(minlength=14).numpy()).pvalue > 1e-4
        assert 0.48 < negative.double().mean() < 0.52
    assert stats.chisquare(asked[0][1].bincount(minlength=31).numpy()).pvalue > 1e-4
    assert set(asked[1][1].tolist()) == {7}
    both = stats.contingency.crosstab(asked[1][0].numpy(), asked[2][0].numpy()).count
    assert stats.chi2_contingency(both).pvalue > 1e-4  # drawn with replacement


def test_jitter_equals_a_loop_over_images() -> None:
    """Strengths and the order of the four are each image's own; all orders come up."""
    images, orders = pictures(), Counter()
    most = (0.4, 1.5, 0.4, 0.1)
    made = policies.jitter(
        images, seed=3, index=torch.arange(64), view=1, draws=range(8), most=most
    )
    for row in range(64):
        draw = [uniform(3, torch.tensor([row]), 1, k).double().item() for k in range(8)]
        order = tuple(sorted(range(4), key=lambda k: draw[4 + k]))
        orders[order] += 1
        one = images[row : row + 1]
        for kind in order:
            low, high = max(0.0, 1 - most[kind]), 1 + most[kind]
            if kind == 3:
                low, high = -most[3], most[3]
            strength = low + (high - low) * draw[kind]
            one = policies.JITTER[kind](one, torch.tensor([strength], dtype=torch.float64))
        assert torch.equal(made[row], one[0])
    assert len(orders) > 15


def test_what_is_off_is_left_out() -> None:
    grey = pictures()[..., :1]
    shown = Augment((0.0,), (1.0,), brightness=0.4)
    only = Augment((0.0,), (1.0,), brightness=0.4, contrast=1e-9)
    views = [each.view(grey, seed=0, index=torch.arange(64), view=0) for each in (shown, only)]
    torch.testing.assert_close(*views, atol=1.01 / 255, rtol=0)


def test_so_many_images_are_erased_and_each_in_a_box() -> None:
    count = 2000
    images, index = torch.full((count, 20, 20, 3), 255, dtype=torch.uint8), torch.arange(count)
    shown = Augment(MEAN, STD, erase=0.3).view(images, seed=0, index=index, view=0)[:, 0] == 0
    erased = shown.flatten(1).any(1)
    assert abs(erased.double().mean() - 0.3) < 0.04
    part = shown[erased].double()
    assert part.mean((1, 2)).min() > 0.01
    assert part.mean((1, 2)).max() < 0.36
    # The area is its height times its width.
    assert torch.equal(part.sum((1, 2)), part.amax(2).sum(1) * part.amax(1).sum(1))


def test_colours_of_what_is_no_picture_are_refused() -> None:
    augment = Augment((0.0,) * 3, (1.0,) * 3, **JITTER)
    with pytest.raises(DataError, match="brightness, contrast, saturation, hue change the colours"):
        augment.view(pictures().float(), seed=0, index=torch.arange(64), view=0)


def test_an_option_that_is_off_moves_no_identity() -> None:
    assert list(Augment(MEAN, STD, crop=4).identity()) == ["mean", "std", "crop", "flip", "cutout"]
    for options in NEW.values():
        assert Augment(MEAN, STD, **options).identity().items() >= options.items()
        assert Augment(MEAN, STD, **options).varies
