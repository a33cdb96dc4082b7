"""Calibration: against torchmetrics, a loop over bins, and a grid of temperatures."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchmetrics.classification import MulticlassCalibrationError

from stillhouse.diagnostics.calibration import mending_temperature, reliability


def sharpened(by: float, rows: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels drawn from the softmax of logits, and these logits times a number."""
    made = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(rows, 5, generator=made)
    label = torch.multinomial(logits.softmax(1), 1, generator=made)[:, 0]
    return by * logits, label


@pytest.mark.parametrize("bins", [10, 15])
def test_the_error_is_that_of_torchmetrics_and_of_a_loop(bins: int) -> None:
    logits, label = sharpened(1.7)
    probability = logits.softmax(1)
    confidence, said = probability.max(1)
    found = reliability(confidence, said == label, bins)
    theirs = MulticlassCalibrationError(5, n_bins=bins, norm="l1")(probability, label)
    assert found.error == pytest.approx(theirs.item(), abs=1e-6)
    sure, right, total = confidence.double().numpy(), (said == label).numpy(), 0.0
    for low in np.arange(bins) / bins:
        inside = (sure > low) & (sure <= low + 1 / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    assert found.error == pytest.approx(total, abs=1e-9)
    assert sum(found.count) == len(label)


def test_bounds_belong_to_the_bin_below_and_zero_to_the_first() -> None:
    found = reliability(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0, 1, 1]), bins=2)
    assert found.count == (2, 1)
    assert found.confidence == (0.25, 1.0)


@pytest.mark.parametrize("by", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_what_sharpened_the_logits(by: float) -> None:
    logits, label = sharpened(by)
    found = mending_temperature(logits, label)
    grid = torch.linspace(0.2, 5, 2001, dtype=torch.float64)
    losses = torch.stack([F.cross_entropy(logits.double() / t, label) for t in grid])
    assert found == pytest.approx(grid[losses.argmin()].item(), abs=3e-3)
    assert found == pytest.approx(by, rel=0.06)


def test_where_no_temperature_is_best_there_is_none() -> None:
    logits = torch.eye(3) * 4
    assert mending_temperature(logits, torch.arange(3)) is None  # all right: ever sharper
    assert mending_temperature(logits, (torch.arange(3) + 1) % 3) is None  # all wrong
    assert mending_temperature(logits[:1], torch.arange(1)) is None
