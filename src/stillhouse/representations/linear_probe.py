"""Linear probe: how well a linear classifier reads classes off embeddings that are as they are."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stillhouse.errors import DataError

STRENGTHS = tuple(10.0**power for power in range(-4, 3))
"""Of the regularisation, as C of scikit-learn: the smaller, the simpler the classifier."""
HELD_OUT = 0.2
"""Share of the training rows on which C is chosen; never rows that are tested on."""
ITERATIONS = 1000


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of embeddings, fitted by `fit_linear_probe`.

    Args:
        predicted: the class of each row that was asked about, int64.
        strength: C, as it was chosen.
        held_out: the accuracy on the held-out training rows, by C.
        converged: whether the last fit did, within `ITERATIONS` iterations.
    """

    predicted: Tensor
    strength: float
    held_out: dict[float, float]
    converged: bool


def fit_linear_probe(
    embedding: Tensor, known: Tensor, labels: Tensor, *, seed: int = 0
) -> LinearProbe:
    """Logistic regression (L2) on standardised embeddings; what it says of other rows.

    Every dimension is standardised by mean and deviation of the known rows. C is the best of
    `STRENGTHS` on a fifth of the known rows, held out by class (of equals the simplest); then all
    known rows are fitted. The rows that are asked about decide nothing.

    Shapes:
        embedding: [M, D]; known: [N, D]; labels: [N] int64.

    Raises:
        DataError: widths or counts differ, a class has fewer than two known rows or there is only
            one, or values are not finite.

    >>> known = torch.tensor([[-2.0], [-1.5], [-1.0], [-1.2], [-0.9]])
    >>> rows, labels = torch.cat([known, -known]), torch.tensor([0] * 5 + [1] * 5)
    >>> fit_linear_probe(torch.tensor([[-3.0], [4.0]]), rows, labels).predicted.tolist()
    [0, 1]
    """
    asked, x, y = _arrays(embedding, known, labels)
    from sklearn.model_selection import train_test_split

    parts = max(HELD_OUT, len(np.unique(y)) / len(y))
    learnt, chosen = train_test_split(
        np.arange(len(y)), test_size=parts, stratify=y, random_state=seed
    )
    held_out = {}
    for strength in STRENGTHS:
        predicted, _ = _predicted(x[chosen], x[learnt], y[learnt], strength)
        held_out[strength] = float((predicted == y[chosen]).mean())
    best = max(STRENGTHS, key=lambda strength: (held_out[strength], -strength))
    predicted, converged = _predicted(asked, x, y, best)
    return LinearProbe(torch.from_numpy(predicted), best, held_out, converged)


def _predicted(
    asked: np.ndarray, x: np.ndarray, y: np.ndarray, strength: float
) -> tuple[np.ndarray, bool]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=ITERATIONS))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        probe.fit(x, y)
    late = any(issubclass(each.category, ConvergenceWarning) for each in caught)
    return probe.predict(asked).astype(np.int64), not late


def _arrays(
    embedding: Tensor, known: Tensor, labels: Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All as numpy, float64. Raises DataError where they do not go together."""
    asked, x = (part.detach().cpu().flatten(1).double() for part in (embedding, known))
    if len(x) != len(labels) or x.shape[1] != asked.shape[1]:
        raise DataError(
            f"a linear probe of rows {list(asked.shape)} on known rows {list(x.shape)} with "
            f"{len(labels)} labels; give one label each, and one width"
        )
    if not bool(asked.isfinite().all() and x.isfinite().all()):
        raise DataError("an embedding holds nan or inf, and a linear probe cannot read it")
    counts = torch.bincount(labels.cpu())
    few = counts[counts > 0]
    if len(few) < 2 or int(few.min()) < 2:
        raise DataError(
            "a linear probe needs two classes or more, of two known rows or more each: one to "
            "learn from, one to choose the regularisation on"
        )
    return asked.numpy(), x.numpy(), labels.cpu().numpy()
