"""A projector at work: spectra in closed form, diagnostics by hand, how a linear one learns."""

import math

import numpy as np
import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.diagnostics.projector import effective_rank, share_small, singular_values
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.methods import projector_logsum

SPECTRUM = ["projector_singular_values", "projector_effective_rank", "projector_share_small"]
ENDS = ["projector_in_out_cka", "projector_in_out_correlation"]


def shown(projector: str, train: Batches, platform: Platform):
    student = tiny_net(4, 1)
    stage = projector_logsum(student, tiny_net(4, 2), projector=projector)
    fitted = fit(stage, train, settings=Settings(epochs=2), platform=platform, validation=train)
    return student, stage, fitted.history[-1].get("diagnostics", {})


def test_diagnostics_of_a_linear_projector(train: Batches, platform: Platform) -> None:
    student, stage, diagnostics = shown("linear", train, platform)
    assert list(diagnostics) == SPECTRUM + ENDS
    layer = stage.node("projected").module.projector
    weight = layer.weight.detach().double().numpy()
    sigma = np.sqrt(np.linalg.eigvalsh(weight @ weight.T)[::-1])
    assert diagnostics["projector_singular_values"] == pytest.approx(sigma.tolist(), rel=1e-5)
    share = sigma / sigma.sum()
    rank = np.exp(-(share * np.log(share)).sum())
    assert diagnostics["projector_effective_rank"] == pytest.approx(rank, rel=1e-5)
    assert diagnostics["projector_share_small"] == pytest.approx((sigma < 0.1 * sigma[0]).mean())

    image = torch.cat([batch["batch.image"] for batch in train.once()])
    student.eval()
    with torch.no_grad():
        z = student.relu(student.bn(student.conv(image))).mean((2, 3)).double().numpy()
    out = z @ weight.T + layer.bias.detach().double().numpy()
    pearson = np.abs(np.corrcoef(z, out, rowvar=False)[:4, 4:]).mean()
    assert diagnostics["projector_in_out_correlation"] == pytest.approx(pearson, rel=1e-4)
    z, out = z - z.mean(0), out - out.mean(0)
    k, m = z @ z.T, out @ out.T
    cka = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    assert diagnostics["projector_in_out_cka"] == pytest.approx(cka, rel=1e-4)


def test_an_mlp_has_two_ends_and_no_spectrum(train: Batches, platform: Platform) -> None:
    assert list(shown("mlp2", train, platform)[2]) == ENDS


def test_no_projector_does_nothing(train: Batches, platform: Platform) -> None:
    assert shown("none", train, platform)[2] == {}


# The theory of the paper, with its D = 1/2 |Z_s W - Z_t|_F^2, summed over the batch and without a
# bias: the gradient at W is the difference of two relational statistics of the batch.

BATCH, OURS, THEIRS = 12, 3, 5


def features() -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(0)
    z_s = torch.randn(BATCH, OURS, generator=made, dtype=torch.float64)
    return z_s, torch.randn(BATCH, THEIRS, generator=made, dtype=torch.float64)


def slope(w: Tensor, z_s: Tensor, z_t: Tensor) -> np.ndarray:
    """By autograd through a linear layer, whose weight is W transposed."""
    layer = torch.nn.Linear(OURS, THEIRS, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(w.T)
    distance = 0.5 * (layer(z_s) - z_t).square().sum()
    (gradient,) = torch.autograd.grad(distance, layer.weight)
    return gradient.T.numpy()


def by_hand(w: Tensor, z_s: Tensor, z_t: Tensor) -> np.ndarray:
    """``-(C_st - C_s W)`` in loops: C_s, C_st are sums of products over the batch."""
    found = np.zeros((OURS, THEIRS))
    for i in range(OURS):
        for j in range(THEIRS):
            cross = sum(z_s[b, i].item() * z_t[b, j].item() for b in range(BATCH))
            own = sum(
                z_s[b, i].item() * z_s[b, k].item() * w[k, j].item()
                for b in range(BATCH)
                for k in range(OURS)
            )
            found[i, j] = -(cross - own)
    return found


def test_the_update_of_a_linear_projector_is_relational() -> None:
    z_s, z_t = features()
    w = torch.randn(OURS, THEIRS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    np.testing.assert_allclose(slope(w, z_s, z_t), by_hand(w, z_s, z_t), rtol=1e-12, atol=1e-12)
    zero = torch.zeros_like(w)
    np.testing.assert_allclose(slope(zero, z_s, z_t), -(z_s.T @ z_t).numpy(), rtol=1e-12)


def test_whitened_the_projector_becomes_the_cross_correlation() -> None:
    """Where ``C_s = I`` the update leads to ``W = C_st``, and stays there."""
    z_s, z_t = features()
    white, _ = torch.linalg.qr(z_s)
    torch.testing.assert_close(white.T @ white, torch.eye(OURS, dtype=torch.float64))
    fixed = white.T @ z_t
    np.testing.assert_allclose(slope(fixed, white, z_t), 0.0, atol=1e-12)
    w = torch.zeros_like(fixed)
    for _ in range(60):
        w = w - 0.5 * torch.from_numpy(slope(w, white, z_t))
    torch.testing.assert_close(w, fixed, rtol=1e-12, atol=1e-12)
    assert np.abs(slope(z_s.T @ z_t, z_s, z_t)).max() > 1.0  # not where C_s is something else


def test_else_it_becomes_the_least_squares_map() -> None:
    z_s, z_t = features()
    fixed = torch.linalg.lstsq(z_s, z_t).solution
    np.testing.assert_allclose(slope(fixed, z_s, z_t), 0.0, atol=1e-12)


def test_singular_values_are_the_lengths_of_what_is_at_right_angles() -> None:
    turns = [torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0] for n in (3, 5)]
    stretch = torch.zeros(3, 5, dtype=torch.float64)
    stretch[:, :3] = torch.diag(torch.tensor([1.0, 7.0, 0.5]))
    weight = turns[0] @ stretch @ turns[1]
    assert singular_values(weight).tolist() == pytest.approx([7.0, 1.0, 0.5])
    assert singular_values(weight.T).tolist() == pytest.approx([7.0, 1.0, 0.5])


def test_layers_are_taken_as_they_are() -> None:
    linear, conv = nn.Linear(3, 5), nn.Conv2d(3, 5, 1)
    with torch.no_grad():
        conv.weight.copy_(linear.weight[:, :, None, None])
    value = singular_values(conv.weight)
    assert value.dtype == torch.float64
    assert not value.requires_grad
    assert torch.equal(value, singular_values(linear.weight))


def test_the_effective_rank_by_hand() -> None:
    assert effective_rank(torch.ones(7)) == pytest.approx(7.0)
    assert effective_rank(torch.tensor([4.0, 0.0, 0.0])) == pytest.approx(1.0)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(torch.tensor([3.0, 1.0])) == pytest.approx(math.exp(entropy))
    assert effective_rank(torch.tensor([300.0, 100.0])) == pytest.approx(math.exp(entropy))
    assert effective_rank(torch.zeros(3)) == 0.0


def test_the_share_of_small_values_is_relative_to_the_largest() -> None:
    sigma = torch.tensor([10.0, 5.0, 0.99, 0.01])
    assert share_small(sigma) == share_small(1e-3 * sigma) == 0.5
    assert share_small(sigma, below=0.6) == 0.75
    assert share_small(sigma, below=0.0) == 0.0
