"""The loss of margins from scaled cosines, and centres of classes, against loops in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from stillhouse.errors import WiringError
from stillhouse.functional.adaface import norm_quality
from stillhouse.functional.class_centres import class_centres
from stillhouse.functional.margin_loss import MARGINS, margin_cross_entropy
from stillhouse.models.cosine_head import CosineHead

ROWS, CLASSES, WIDTH = 12, 5, 6


def drawn():
    made = torch.Generator().manual_seed(3)
    return torch.randn(ROWS, WIDTH, generator=made), torch.arange(ROWS) % CLASSES


def own_by_hand(margin, c, m, h):
    theta = math.acos(c)
    return {
        "none": c,
        "cosface": c - m,
        "arcface": math.cos(min(theta + m, math.pi)),
        "adaface": math.cos(min(max(theta - m * h, 0), math.pi)) - (m + m * h),
    }[margin]


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("scale", [8.0, 64.0])
def test_the_loss_of_a_head_s_logits_is_that_of_a_loop(margin, scale):
    embedding, label = drawn()
    torch.manual_seed(0)
    head = CosineHead(WIDTH, CLASSES, scale=scale)
    h = norm_quality(embedding, 2.0, 1.0) if margin == "adaface" else None
    found = margin_cross_entropy(head(embedding), label, scale=scale, margin=margin, quality=h)
    cosine = F.cosine_similarity(
        embedding.double()[:, None], head.weight.detach().double()[None], dim=2
    )
    for i in range(ROWS):
        logits = [scale * c for c in cosine[i].tolist()]
        y = int(label[i])
        quality = 0.0 if h is None else float(h[i])
        logits[y] = scale * own_by_hand(margin, float(cosine[i, y]), MARGINS[margin], quality)
        wanted = math.log(math.fsum(math.exp(z - logits[y]) for z in logits))
        assert found[i].item() == pytest.approx(wanted, rel=2e-5, abs=2e-5), (margin, i)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("margin", MARGINS)
def test_on_the_centre_and_opposite_it_loss_and_gradients_are_finite(margin):
    head = CosineHead(2, 2, scale=64.0)
    head.weight.data = torch.eye(2)
    embedding = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 0.0]], requires_grad=True)
    h = torch.ones(3) if margin == "adaface" else None
    logits = head(embedding)
    loss = margin_cross_entropy(
        logits, torch.zeros(3, dtype=torch.long), scale=64.0, margin=margin, quality=h
    )
    loss.sum().backward()
    for value in (loss, embedding.grad, head.weight.grad):
        assert value.isfinite().all()


def test_what_does_not_fit_is_said():
    logits, label = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
    with pytest.raises(WiringError, match=r"no margin .arcfac.*arcface"):
        margin_cross_entropy(logits, label, scale=1.0, margin="arcfac")
    for given in ({"margin": "adaface"}, {"margin": "none", "quality": torch.zeros(2)}):
        with pytest.raises(WiringError, match="quality of each image"):
            margin_cross_entropy(logits, label, scale=1.0, **given)


def test_centres_are_the_directions_of_mean_directions():
    embedding, label = drawn()
    embedding *= torch.linspace(0.1, 50, ROWS)[:, None]
    found = class_centres(embedding, label, CLASSES)
    for k in range(CLASSES):
        rows = [
            z for z, y in zip(embedding.double().tolist(), label.tolist(), strict=True) if y == k
        ]
        unit = [[a / math.hypot(*z) for a in z] for z in rows]
        mean = [math.fsum(column) / len(unit) for column in zip(*unit, strict=True)]
        wanted = [a / math.hypot(*mean) for a in mean]
        assert found[k].tolist() == pytest.approx(wanted, abs=1e-6)
    with_unknown = torch.cat([embedding, torch.full((1, WIDTH), 9.0)])
    again = class_centres(with_unknown, torch.cat([label, torch.tensor([-1])]), CLASSES)
    assert torch.equal(again, found)


@pytest.mark.parametrize(
    ("embedding", "label", "said"),
    [
        (torch.ones(2, 3), torch.tensor([0, 2]), r"class 1 has no row; a centre"),
        (torch.ones(2, 3), torch.tensor([0, 9]), r"a label is 9, and there are 3 classes"),
        (torch.ones(3), torch.tensor([0]), r"give \[N, D\] and \[N\]"),
        (
            torch.tensor([[1.0, 0], [-1, 0], [1, 0], [1, 0]]),
            torch.tensor([0, 0, 1, 2]),
            "class 0 have no mean direction",
        ),
        (
            torch.tensor([[torch.nan, 0], [1, 0], [1, 0]]),
            torch.tensor([0, 1, 2]),
            "class 0 have no mean direction",
        ),
    ],
)
def test_rows_that_give_no_centres_are_refused(embedding, label, said):
    with pytest.raises(WiringError, match=said):
        class_centres(embedding, label, 3)
