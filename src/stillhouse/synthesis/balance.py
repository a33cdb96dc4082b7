"""Balance: what the teacher says of the images that were made, and what it was to say."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from stillhouse.synthesis.priors import excess
from stillhouse.synthesis.targets import NO_CLASS

QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)


class Balance:
    """Counts over a transfer set, taken in batch by batch.

    Nothing is assumed: the class of an image is the one that the teacher gives it, and the largest
    entry of its target need not be the class that was asked for.

    Args:
        classes: how many.
        temperature: of the softmax that is compared with the targets.

    >>> balance = Balance(2, temperature=1.0)
    >>> logits, target = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.2, 0.8]])
    >>> balance.add(logits, target, torch.tensor([0]), torch.tensor([5]))
    >>> described = balance.described()
    >>> described["given"], described["asked"], described["target_largest"]
    ([1, 0], [1, 0], [0, 1])
    >>> described["given_is_asked"], described["target_largest_is_asked"]
    (1.0, 0.0)
    """

    def __init__(self, classes: int, *, temperature: float) -> None:
        self.classes, self.temperature = classes, temperature
        self._given: list[Tensor] = []
        self._asked: list[Tensor] = []
        self._largest: list[Tensor] = []
        self._excess: list[Tensor] = []
        self._achieved = torch.zeros(classes, dtype=torch.float64)
        self._wanted = torch.zeros(classes, dtype=torch.float64)
        self._peak: list[Tensor] = []
        self._steps: list[Tensor] = []

    def add(self, logits: Tensor, target: Tensor | None, asked: Tensor, steps: Tensor) -> None:
        """Take in a batch.

        Shapes:
            logits, target: [B, K]; asked, steps: [B].
        """
        achieved = torch.softmax(logits.float() / self.temperature, 1)
        self._given.append(logits.argmax(1))
        self._peak.append(achieved.amax(1))
        self._achieved += achieved.double().sum(0)
        self._asked.append(asked)
        self._steps.append(steps)
        if target is not None:
            self._largest.append(target.argmax(1))
            self._wanted += target.double().sum(0)
            self._excess.append(excess(logits, target, temperature=self.temperature))

    def described(self) -> dict[str, Any]:
        """All counts, as plain data."""
        given, asked = torch.cat(self._given), torch.cat(self._asked)
        counts = self._counts(given)
        share = torch.tensor(counts, dtype=torch.float64) / len(given)
        found: dict[str, Any] = {
            "images": len(given),
            "given": counts,
            "given_perplexity": float(torch.special.entr(share).sum().exp()),
            "smallest_class": min(counts),
            "largest_class": max(counts),
            "temperature": self.temperature,
            "achieved_mean": (self._achieved / len(given)).tolist(),
            "achieved_peak": quantiles(torch.cat(self._peak)),
            "steps_mean": float(torch.cat(self._steps).double().mean()),
        }
        known = asked != NO_CLASS
        if bool(known.any()):
            found["asked"] = self._counts(asked[known])
            found["given_is_asked"] = _share(given[known] == asked[known])
        if self._largest:
            largest = torch.cat(self._largest)
            found["target_mean"] = (self._wanted / len(given)).tolist()
            found["target_largest"] = self._counts(largest)
            found["given_is_target_largest"] = _share(given == largest)
            found["gap"] = quantiles(torch.cat(self._excess))  # KL(target, achieved), nats
            if bool(known.any()):
                found["target_largest_is_asked"] = _share(largest[known] == asked[known])
        return found

    def _counts(self, labels: Tensor) -> list[int]:
        counts: list[int] = torch.bincount(labels, minlength=self.classes).tolist()
        return counts


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())


def quantiles(values: Tensor, at: Sequence[float] = QUANTILES) -> dict[str, float]:
    """Some quantiles by name.

    >>> quantiles(torch.tensor([0.0, 1.0, 2.0]), [0.5])
    {'0.5': 1.0}
    """
    ordered = values.double().sort().values
    last = len(ordered) - 1
    return {str(q): float(ordered[round(q * last)]) for q in at}
