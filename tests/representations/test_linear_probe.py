"""The linear probe: what it chooses, on what, and that it reads what is there to read."""

import pytest
import torch
from torch import Tensor

from stillhouse.errors import DataError
from stillhouse.representations.linear_probe import STRENGTHS, fit_linear_probe


def blobs(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Three classes around three points; dimensions of very different scale."""
    of = torch.Generator().manual_seed(seed)
    labels = torch.arange(rows) % 3
    points = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [-2.0, -2.0, 0.0]])
    rows_of = points[labels] + torch.randn(rows, 3, generator=of)
    return rows_of * torch.tensor([1.0, 1000.0, 1e-3]), labels


def test_it_is_the_logistic_regression_of_scikit_learn_on_standardised_rows() -> None:
    from sklearn.linear_model import LogisticRegression

    x, y = blobs(90, 0)
    asked, true = blobs(300, 1)
    probe = fit_linear_probe(asked, x, y)
    mean, deviation = x.double().mean(0), x.double().std(0, correction=0)
    theirs = LogisticRegression(C=probe.strength, max_iter=1000)
    theirs.fit(((x - mean) / deviation).numpy(), y.numpy())
    wanted = theirs.predict(((asked - mean) / deviation).numpy())
    assert probe.predicted.tolist() == wanted.tolist()
    assert probe.converged
    assert (probe.predicted == true).double().mean() > 0.85


def test_the_strength_is_the_best_on_held_out_rows_and_the_asked_ones_decide_nothing() -> None:
    x, y = blobs(60, 0)
    one, other = fit_linear_probe(x[:5], x, y), fit_linear_probe(-x, x, y)
    assert one.strength == other.strength
    assert one.held_out == other.held_out
    assert set(one.held_out) == set(STRENGTHS)
    assert one.held_out[one.strength] == max(one.held_out.values())
    worse = [c for c in STRENGTHS if c < one.strength]
    assert all(one.held_out[c] < one.held_out[one.strength] for c in worse), (
        "the simplest of equals"
    )


def test_what_cannot_be_probed_is_refused() -> None:
    x, y = blobs(12, 0)
    with pytest.raises(DataError, match="two classes or more"):
        fit_linear_probe(x, x, torch.zeros(12, dtype=torch.int64))
    with pytest.raises(DataError, match="one label each"):
        fit_linear_probe(x, x, y[:5])
    with pytest.raises(DataError, match="one width"):
        fit_linear_probe(x[:, :2], x, y)
    with pytest.raises(DataError, match="nan or inf"):
        fit_linear_probe(x * float("nan"), x, y)
