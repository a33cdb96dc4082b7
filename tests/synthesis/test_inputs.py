"""Noise is a function of seed, row and pixel; a shift loses no pixel."""

import pytest
import torch

from stillhouse.synthesis.inputs import RandomShift, gaussian_noise, uniform_noise


@pytest.mark.parametrize("noise", [uniform_noise, gaussian_noise])
def test_a_row_is_the_same_in_whatever_batch(noise) -> None:
    whole = noise(3, torch.arange(20), (2, 3, 3))
    assert torch.equal(noise(3, torch.tensor([7, 19]), (2, 3, 3)), whole[[7, 19]])
    assert not torch.equal(noise(4, torch.arange(20), (2, 3, 3)), whole)
    assert len(whole.flatten().unique()) > 350, "no pixel repeats another"


def test_the_moments_are_those_of_the_distributions() -> None:
    uniform = uniform_noise(0, torch.arange(100), (1, 32, 32))
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1
    assert float(uniform.var()) == pytest.approx(1 / 12, rel=0.02)
    normal = gaussian_noise(0, torch.arange(100), (1, 32, 32)).double()
    assert float(normal.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(normal.var()) == pytest.approx(1.0, rel=0.02)
    assert float((normal**4).mean()) == pytest.approx(3.0, rel=0.05)
    assert bool(torch.isfinite(normal).all())


def test_shifting_moves_pixels_and_loses_none() -> None:
    torch.manual_seed(0)
    image = torch.arange(32.0).view(1, 1, 4, 8)
    seen = {tuple(RandomShift(0.5)(image).flatten().tolist()) for _ in range(40)}
    assert len(seen) > 10
    assert all(sorted(one) == sorted(image.flatten().tolist()) for one in seen)
    assert torch.equal(RandomShift(0.0, flip=False)(image), image)
