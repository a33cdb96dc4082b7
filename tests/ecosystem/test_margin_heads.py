"""Margin heads against those of pytorch-metric-learning: losses and gradients."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.margin_heads import arcface, cosface, cosines, normalised_softmax
from stillhouse.functional.margin_loss import Margin, margin_cross_entropy
from stillhouse.models.cosine_head import CosineHead

pytestmark = pytest.mark.ecosystem

ROWS, CLASSES, WIDTH = 64, 20, 32
Head = Callable[[Tensor, Tensor], Tensor]


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings of all lengths, some near their centres and some far from them."""
    made = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, WIDTH, generator=made)
    label = torch.arange(ROWS) % CLASSES
    pull = torch.linspace(-1.2, 3, ROWS)[:, None]
    embedding = pull * centres[label] + torch.randn(ROWS, WIDTH, generator=made)
    return embedding * torch.linspace(0.1, 9, ROWS)[:, None], centres, label


def theirs(name: str, **settings: float) -> Any:
    from pytorch_metric_learning import losses

    return getattr(losses, name)(num_classes=CLASSES, embedding_size=WIDTH, **settings)


CASES: list[tuple[str, dict[str, float], Head]] = [
    ("NormalizedSoftmaxLoss", {}, lambda c, y: normalised_softmax(c)),
    ("NormalizedSoftmaxLoss", {"temperature": 0.1}, lambda c, y: normalised_softmax(c, scale=10)),
    ("CosFaceLoss", {}, cosface),
    ("CosFaceLoss", {"margin": 0.1, "scale": 16}, lambda c, y: cosface(c, y, margin=0.1, scale=16)),
    ("ArcFaceLoss", {"margin": math.degrees(0.5)}, arcface),
    (
        "ArcFaceLoss",
        {"margin": math.degrees(0.2), "scale": 16},
        lambda c, y: arcface(c, y, margin=0.2, scale=16),
    ),
]


@pytest.mark.parametrize(("name", "settings", "head"), CASES, ids=[f"{n} {s}" for n, s, _ in CASES])
def test_a_head_is_that_of_the_reference_library(
    name: str, settings: dict[str, float], head: Head
) -> None:
    """Theirs in float64, on rows where theta + m stays below pi: there both say the same."""
    embedding, centres, label = drawn()
    reach = math.radians(settings.get("margin", 0.0)) if name == "ArcFaceLoss" else 0.0
    theta = cosines(embedding, centres)[torch.arange(ROWS), label].acos()
    kept = theta + reach < math.pi - 1e-3
    assert kept.sum() > 3 * ROWS // 4
    assert (theta[kept] > 2).any()
    embedding, label = embedding[kept], label[kept]
    reference = theirs(name, **settings).double()
    reference.W.data = centres.double().T.clone()
    their_input = embedding.double().requires_grad_()
    wanted = reference(their_input, label)
    mine, shared = embedding.clone().requires_grad_(), centres.clone().requires_grad_()
    found = F.cross_entropy(head(cosines(mine, shared), label), label)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6, abs=1e-6)
    of_theirs = torch.autograd.grad(wanted, (their_input, reference.W))
    of_mine = torch.autograd.grad(found, (mine, shared))
    for ours, other in zip(of_mine, (of_theirs[0], of_theirs[1].T), strict=True):
        torch.testing.assert_close(ours.double(), other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "margin", "size"),
    [
        ("NormalizedSoftmaxLoss", {"temperature": 1 / 32}, "none", None),
        ("CosFaceLoss", {"scale": 32}, "cosface", 0.35),
        ("ArcFaceLoss", {"scale": 32, "margin": math.degrees(0.3)}, "arcface", 0.3),
    ],
)
def test_the_loss_of_a_head_s_logits_is_that_of_the_reference_library(
    name: str, settings: dict[str, float], margin: Margin, size: float | None
) -> None:
    """From logits without a margin, as a task gets them; theirs row by row, in float64."""
    embedding, centres, label = drawn()
    theta = cosines(embedding, centres)[torch.arange(ROWS), label].acos()
    kept = theta + 0.3 < math.pi - 1e-3
    embedding, label = embedding[kept], label[kept]
    reference = theirs(name, **settings).double()
    reference.W.data = centres.double().T.clone()
    wanted = reference(embedding.double(), label)
    head = CosineHead(WIDTH, CLASSES, scale=32.0)
    head.weight.data = centres
    found = margin_cross_entropy(head(embedding), label, scale=32.0, margin=margin, size=size)
    assert found.mean().item() == pytest.approx(wanted.item(), rel=1e-6, abs=1e-6)


def test_beyond_pi_the_reference_jumps_and_this_does_not() -> None:
    """Where the two differ on purpose: an embedding opposite its centre, m = 0.5."""
    centres, label = torch.eye(CLASSES, WIDTH), torch.tensor([0])
    reference = theirs("ArcFaceLoss", margin=math.degrees(0.5))
    opposite = torch.tensor([-1.0])
    jumped = reference.modify_cosine_of_target_classes(opposite).item()
    assert jumped == pytest.approx(-1 - 0.5 * math.sin(0.5), abs=1e-6)
    logits = arcface(cosines(-centres[:1], centres), label, scale=1.0)
    assert logits[0, 0].item() == pytest.approx(-1.0, abs=1e-6)
