"""Margin heads against loops in Python's own float64, and where their numerics could break."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.errors import WiringError
from stillhouse.functional.adaface import adaface, norm_quality
from stillhouse.functional.margin_heads import (
    arcface,
    cosface,
    cosines,
    least_scale,
    normalised_softmax,
)
from stillhouse.models.cosine_head import CosineHead

ROWS, CLASSES, WIDTH = 7, 5, 4
HEADS = ["cosface", "arcface", "released", "adaface"]


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    made = torch.Generator().manual_seed(1)
    embedding = 3 * torch.randn(ROWS, WIDTH, generator=made)
    centres = 0.01 * torch.randn(CLASSES, WIDTH, generator=made)
    return embedding, centres, torch.arange(ROWS) % CLASSES


def quality() -> Tensor:
    return torch.linspace(-1, 1, ROWS, dtype=torch.float64)


def logits_of(head: str, cosine: Tensor, label: Tensor, scale: float, margin: float) -> Tensor:
    if head == "cosface":
        return cosface(cosine, label, scale=scale, margin=margin)
    if head == "adaface":
        return adaface(cosine, label, quality()[: len(label)], scale=scale, margin=margin)
    gradient = "released" if head == "released" else "exact"
    return arcface(cosine, label, scale=scale, margin=margin, gradient=gradient)


def own_by_hand(head: str, c: float, margin: float, h: float) -> float:
    if head == "cosface":
        return c - margin
    theta = math.acos(c)
    if head == "adaface":
        return math.cos(min(max(theta - margin * h, 0), math.pi)) - margin - margin * h
    return math.cos(min(theta + margin, math.pi))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("margin", [0.35, 1.2])
def test_a_head_equals_the_naive_loop(head: str, margin: float) -> None:
    embedding, centres, label = drawn()
    label[3] = -1
    found = logits_of(head, cosines(embedding, centres), label, 16.0, margin)
    rows, classes = embedding.tolist(), centres.tolist()
    for i, z in enumerate(rows):
        for k, w in enumerate(classes):
            c = math.fsum(a * b for a, b in zip(z, w, strict=True)) / (
                math.hypot(*z) * math.hypot(*w)
            )
            wanted = own_by_hand(head, c, margin, quality()[i].item()) if k == label[i] else c
            assert found[i, k].item() == pytest.approx(16 * wanted, abs=2e-5), (i, k)
    plain = normalised_softmax(cosines(embedding, centres), scale=16.0)
    assert torch.equal(found[3], plain[3]), "no margin where the label is not known"


@pytest.mark.parametrize("head", ["cosface", "arcface", "adaface"])
def test_gradients_agree_with_finite_differences_in_float64(head: str) -> None:
    cosine = torch.linspace(-0.8, 0.9, 12, dtype=torch.float64).view(3, 4)[:, [2, 0, 3, 1]]
    label = torch.tensor([0, 3, -1])
    assert torch.autograd.gradcheck(
        lambda c: logits_of(head, c, label, 8.0, 0.4), cosine.clone().requires_grad_()
    )


def test_the_released_gradient_is_that_of_logits_edited_in_place() -> None:
    """At 60 degrees and m = 0.5, where insightface's own differs from the formula's by 1.154."""
    cosine = torch.tensor([[0.5, 0.1, -0.3]], dtype=torch.float64)
    label, slopes, losses = torch.tensor([0]), [], []
    for gradient in ("exact", "released"):
        c = cosine.clone().requires_grad_()
        loss = F.cross_entropy(arcface(c, label, gradient=gradient), label)
        losses.append(loss.item())
        slopes.append(torch.autograd.grad(loss, c)[0][0])
    edited = cosine.clone().requires_grad_()
    logits = edited * 1
    with torch.no_grad():
        logits[0, 0] = math.cos(math.acos(0.5) + 0.5)
    F.cross_entropy(64 * logits, label).backward()
    torch.testing.assert_close(slopes[1], edited.grad[0])
    assert losses[0] == losses[1]
    ratio = math.sin(math.pi / 3 + 0.5) / math.sin(math.pi / 3)
    assert (slopes[0][0] / slopes[1][0]).item() == pytest.approx(ratio, rel=1e-9)
    assert ratio == pytest.approx(1.154, abs=5e-4)


@pytest.mark.parametrize("head", HEADS)
def test_gradients_are_finite_at_and_beside_an_angle_of_0_and_of_pi(head: str) -> None:
    """Embeddings on their centre, opposite it, a float32 beside either, and of zeros."""
    centres = torch.eye(2, requires_grad=True)
    beside = [1e-8, 1e-4, 3e-4, 1e-3]
    rows = [[sign, b] for sign in (1.0, -1.0) for b in (0.0, *beside)]
    embedding = torch.tensor([*rows, [0.0, 0.0]]).requires_grad_()
    label = torch.zeros(len(embedding), dtype=torch.int64)
    h = torch.ones(len(embedding))
    cosine = cosines(embedding, centres)
    logits = (
        adaface(cosine, label, h) if head == "adaface" else logits_of(head, cosine, label, 64, 0.5)
    )
    loss = F.cross_entropy(logits, label, reduction="none")
    assert loss.isfinite().all()
    for gradient in torch.autograd.grad(loss.sum(), (embedding, centres)):
        assert gradient.isfinite().all()
        assert gradient.abs().max() < 1e3 * len(embedding)


def test_the_own_logit_of_arcface_falls_all_the_way_and_never_jumps() -> None:
    theta = torch.linspace(0, math.pi, 2001, dtype=torch.float64)
    cosine = torch.stack([theta.cos(), torch.zeros(2001)], 1)
    own = arcface(cosine, torch.zeros(2001, dtype=torch.int64), scale=1.0)[:, 0]
    assert (own.diff() <= 0).all()
    assert own.diff().abs().max() < 2e-3
    assert own.min().item() == pytest.approx(-1.0, abs=1e-7)


def test_cosines_are_float32_whatever_autocast_says_and_know_no_length() -> None:
    embedding, centres, _ = drawn()
    with torch.autocast("cpu", torch.bfloat16):
        found = cosines(embedding.bfloat16(), centres)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, cosines(embedding.bfloat16().float(), centres))
    torch.testing.assert_close(
        cosines(1e4 * embedding, 1e-4 * centres), cosines(embedding, centres)
    )
    assert cosines(torch.full((1, WIDTH), torch.nan), centres).isnan().all(), "nan is not hidden"
    assert arcface(torch.full((1, 2), torch.nan), torch.tensor([0])).isnan().all()


def test_what_does_not_fit_is_told() -> None:
    embedding, centres, label = drawn()
    with pytest.raises(WiringError, match=r"\[7, 4\] and centres of classes \[5, 3\]"):
        cosines(embedding, centres[:, :3])
    with pytest.raises(WiringError, match="gradient is 'release'; nearest: released"):
        arcface(cosines(embedding, centres), label, gradient="release")
    with pytest.raises(WiringError, match="wanted are class indices"):
        cosface(cosines(embedding, centres), label.float())


def test_quality_is_the_authors_and_has_no_gradient() -> None:
    embedding = torch.tensor([[3.0, 4.0], [0.0, 0.0], [300.0, 400.0]], requires_grad=True)
    found = norm_quality(embedding, 20.0, 10.0)
    assert not found.requires_grad
    by_hand = [0.333 * (5 - 20) / 10.001, 0.333 * (0.001 - 20) / 10.001, 1.0]
    assert found.tolist() == pytest.approx(by_hand, abs=1e-6)


def test_the_least_scale_is_the_one_at_which_a_simplex_is_so_sure() -> None:
    for classes, probability in ((2, 0.9), (40, 0.99)):
        scale = least_scale(classes, probability)
        others = (classes - 1) * math.exp(-scale / (classes - 1))
        assert math.exp(scale) / (math.exp(scale) + others) == pytest.approx(probability)


def test_a_shared_head_has_the_teachers_centres_and_gives_no_gradient_to_them() -> None:
    embedding, centres, label = drawn()
    teacher = CosineHead(WIDTH, CLASSES, scale=16.0)
    assert teacher.weight.std().item() == pytest.approx(0.01, rel=0.6)
    teacher.load_state_dict({"weight": centres})
    torch.testing.assert_close(teacher(embedding), 16 * cosines(embedding, centres))
    learner = embedding.requires_grad_()
    shared = cosines(learner, teacher.weight.detach())
    F.cross_entropy(arcface(shared, label), label).backward()
    assert learner.grad is not None
    assert learner.grad.any()
    assert teacher.weight.grad is None
