"""Losses of maps against loops in Python's own float64, written from the equations."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from stillhouse.functional import channel_kl, pearson_map_gap
from stillhouse.functional.foreground import focal_gap, regions
from stillhouse.functional.frames import by_image, by_shown, within
from stillhouse.methods.feature.fgd import ContextGap

SHAPE = (3, 4, 5, 6)


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPE, generator=made) * 3, torch.randn(SHAPE, generator=made) * 2 + 1


CONTENT = torch.tensor([[1.0, 0.5], [0.45, 1.0], [0.4, 0.34]])
"""Shares of a grid of 5 x 6; a position counts where any of it is image."""
SEEN = ((5, 3), (3, 6), (2, 3))
"""Rows and columns of each image by hand."""
WHOLE = ((5, 6),) * 3
FRAMES = [pytest.param(None, WHOLE, id="whole"), pytest.param(CONTENT, SEEN, id="framed")]


def cut(x: torch.Tensor, seen: tuple[tuple[int, int], ...]) -> list[np.ndarray]:
    """The part of each map that is of its image, in float64."""
    return [
        each[:, :rows, :columns].double().numpy()
        for each, (rows, columns) in zip(x, seen, strict=True)
    ]


def softmax(values: list[float], temperature: float) -> list[float]:
    top = max(values)
    raised = [math.exp((value - top) / temperature) for value in values]
    return [value / math.fsum(raised) for value in raised]


@pytest.mark.parametrize(("content", "seen"), FRAMES)
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_channel_kl_equals_the_naive_loop(
    temperature: float, content: torch.Tensor | None, seen: tuple[tuple[int, int], ...]
) -> None:
    s, t = drawn(0)
    wanted = []
    for mine, theirs in zip(cut(s, seen), cut(t, seen), strict=True):
        total = 0.0
        for a, b in zip(mine, theirs, strict=True):
            p = softmax([x for row in a for x in row], temperature)
            q = softmax([x for row in b for x in row], temperature)
            total += math.fsum(y * (math.log(y) - math.log(x)) for x, y in zip(p, q, strict=True))
        wanted.append(temperature**2 * total / SHAPE[1])
    loss = partial(channel_kl, temperature=temperature)
    found = loss(s, t) if content is None else by_image(loss, (s, t), content)
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)


def test_channel_kl_stays_finite_where_a_softmax_is_zero() -> None:
    s, t = torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, 300.0]]]])
    s[..., 0] = 300.0
    assert channel_kl(s, t).item() == pytest.approx(300.0)


@pytest.mark.parametrize(("content", "seen"), FRAMES)
def test_pearson_map_gap_equals_the_naive_loop_and_one_minus_the_correlation(
    content: torch.Tensor | None, seen: tuple[tuple[int, int], ...]
) -> None:
    s, t = drawn(1)
    mine, theirs = (
        np.concatenate([each.reshape(len(each), -1) for each in cut(x, seen)], axis=1)
        for x in (s, t)
    )
    gaps, ones = [], []
    for a, b in zip(mine, theirs, strict=True):
        n = len(a)
        za = [(x - math.fsum(a) / n) / (np.std(a, ddof=1) + 1e-6) for x in a]
        zb = [(x - math.fsum(b) / n) / (np.std(b, ddof=1) + 1e-6) for x in b]
        gaps.append(math.fsum((x - y) ** 2 for x, y in zip(za, zb, strict=True)) / n / 2)
        ones.append((1 - np.corrcoef(a, b)[0, 1]) * (n - 1) / n)
    loss = pearson_map_gap
    found = (loss(s, t) if content is None else by_shown(loss, (s, t), content)).item()
    assert found == pytest.approx(sum(gaps) / len(gaps), rel=1e-5)
    assert found == pytest.approx(sum(ones) / len(ones), rel=1e-4)


def test_a_channel_that_does_not_vary_has_a_finite_gradient() -> None:
    s, t = drawn(2)
    s[:, 0] = 5.0
    s.requires_grad_()
    pearson_map_gap(s, t).backward()
    assert s.grad is not None
    assert s.grad.isfinite().all()


BOXES = torch.tensor(
    [
        [[1.0, 4.0, 3.0, 21.0, 30.0], [0.0, 10.0, 10.0, 14.0, 15.0], [-1.0, 0.0, 0.0, 48.0, 40.0]],
        [[-1.0, 0.0, 0.0, 0.0, 0.0]] * 3,
        [[2.0, 0.0, 0.0, 48.0, 40.0], [-1.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]],
    ]
)
IMAGE = (40, 48)


def naive_regions(boxes: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    height, width = SHAPE[2:]
    fore = np.zeros((height, width))
    for number, left, top, right, bottom in boxes:
        if number < 0:
            continue
        x0, y0 = math.floor(left * width / IMAGE[1]), math.floor(top * height / IMAGE[0])
        x1, y1 = math.ceil(right * width / IMAGE[1]), math.ceil(bottom * height / IMAGE[0])
        for y in range(y0, min(y1 + 1, height)):
            for x in range(x0, min(x1 + 1, width)):
                fore[y, x] = max(fore[y, x], 1 / ((y1 + 1 - y0) * (x1 + 1 - x0)))
    back = (fore == 0).astype(float)
    return fore, back / max(back.sum(), 1)


def test_regions_are_those_of_a_loop_over_boxes() -> None:
    found = regions(BOXES, IMAGE, SHAPE[2:])
    for at, boxes in enumerate(BOXES.double().tolist()):
        fore, back = naive_regions(boxes)
        np.testing.assert_allclose(found.foreground[at, 0].numpy(), fore, rtol=1e-6)
        np.testing.assert_allclose(found.background[at, 0].numpy(), back, rtol=1e-6)


@pytest.mark.parametrize(("content", "seen"), FRAMES)
def test_focal_gap_equals_the_naive_loop(
    content: torch.Tensor | None, seen: tuple[tuple[int, int], ...]
) -> None:
    s, t = drawn(3)
    settings = {"foreground": 0.3, "background": 0.2, "attention": 0.1, "temperature": 0.8}
    wanted = []
    for a, b, boxes in zip(cut(s, seen), cut(t, seen), BOXES.tolist(), strict=True):
        rows, columns = a.shape[1:]
        fore = naive_regions(boxes)[0][:rows, :columns]
        back = (fore == 0) / max((fore == 0).sum(), 1)
        spatial, channel = zip(*(attentions(x, 0.8) for x in (a, b)), strict=True)
        total = 0.0
        for c in range(SHAPE[1]):
            for y in range(rows):
                for x in range(columns):
                    active = spatial[1][y, x] * channel[1][c] * (a[c, y, x] - b[c, y, x]) ** 2
                    total += active * (0.3 * fore[y, x] + 0.2 * back[y, x])
        apart = np.abs(spatial[0] - spatial[1]).sum() + np.abs(channel[0] - channel[1]).sum()
        wanted.append(total + 0.1 * apart)
    found = focal_gap(s, t, BOXES, IMAGE, content, **settings)
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)


def test_filling_around_images_moves_nothing_and_gets_no_gradient() -> None:
    s, t = drawn(4)
    inside = within(CONTENT, SHAPE[2:])
    assert [tuple(each[0].any(1 - at).sum().item() for at in (0, 1)) for each in inside] == [*SEEN]
    torch.manual_seed(0)
    context = ContextGap(s.shape)
    for value in context.parameters():
        torch.nn.init.normal_(value)
    losses = [
        lambda a, b, c: by_image(channel_kl, (a, b), c),
        lambda a, b, c: by_shown(pearson_map_gap, (a, b), c),
        lambda a, b, c: focal_gap(a, b, BOXES, IMAGE, c),
        context,
    ]
    for loss in losses:
        learns = s.clone().requires_grad_()
        value = loss(learns, t, CONTENT).sum()
        value.backward()
        assert learns.grad is not None
        assert learns.grad.isfinite().all()
        assert not (learns.grad * ~inside).any()
        assert (learns.grad * inside).any()
        other = [torch.where(inside, x, 7.0 * x + 3) for x in (s, t)]
        assert loss(*other, CONTENT).sum().item() == pytest.approx(value.item(), rel=1e-5)


def attentions(x: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    at, along = np.abs(x).mean(0) / temperature, np.abs(x).mean((1, 2)) / temperature
    spatial, channel = np.exp(at - at.max()), np.exp(along - along.max())
    return at.size * spatial / spatial.sum(), len(along) * channel / channel.sum()
