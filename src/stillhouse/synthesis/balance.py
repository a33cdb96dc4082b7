"""Balance: what the teacher says of the images that were made, and what it was to say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.sources.synthesis import (
    ASKED_FOR,
    LOGITS,
    MANIFEST,
    ROWS,
    SECONDS,
    STEPS,
    TARGET,
    present,
    read_file,
    read_json,
)
from stillhouse.synthesis.priors import target_kl
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
        self._target_kl: list[Tensor] = []
        self._achieved = torch.zeros(classes, dtype=torch.float64)
        self._target = torch.zeros(classes, dtype=torch.float64)
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
            self._target += target.double().sum(0)
            self._target_kl.append(target_kl(logits, target, temperature=self.temperature))

    def described(self) -> dict[str, Any]:
        """All counts, as plain data."""
        given, asked = torch.cat(self._given), torch.cat(self._asked)
        counts = self._per_class(given)
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
            found["asked"] = self._per_class(asked[known])
            found["given_is_asked"] = _share(given[known] == asked[known])
        if self._largest:
            largest = torch.cat(self._largest)
            found["target_mean"] = (self._target / len(given)).tolist()
            found["target_largest"] = self._per_class(largest)
            found["given_is_target_largest"] = _share(given == largest)
            found["gap"] = quantiles(torch.cat(self._target_kl))  # KL(target, achieved), nats
            if bool(known.any()):
                found["target_largest_is_asked"] = _share(largest[known] == asked[known])
        return found

    def _per_class(self, labels: Tensor) -> list[int]:
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


@dataclass(frozen=True)
class Counts:
    """The first images of a set, counted.

    Args:
        balance: what the teacher says of them, see `Balance.described`.
        seconds: that they took to make.
    """

    balance: Mapping[str, Any]
    seconds: float


def read_counts(folder: Path, *, count: int) -> Counts:
    """Count the first images of a finished synthesis.

    Raises:
        DataError: the manifest or a file that is counted is damaged.
    """
    manifest = read_json(folder / MANIFEST)
    if count == manifest["count"]:
        return Counts(manifest["balance"], float(manifest["seconds"]))
    temperature = float(manifest["balance"]["temperature"])
    return count_rows(folder, len(manifest["classes"]), temperature, count)


def count_rows(folder: Path, classes: int, temperature: float, count: int) -> Counts:
    """Count the first images that are there, finished or not.

    Raises:
        DataError: a file that is counted is damaged.
    """
    balance, seconds = Balance(classes, temperature=temperature), 0.0
    for (first, _), path in present(folder, ROWS).items():
        if first >= count:
            break
        held = {key: value[: count - first] for key, value in read_file(path).items()}
        balance.add(held[LOGITS], held.get(TARGET), held[ASKED_FOR], held[STEPS])
        seconds += float(held[SECONDS].double().sum())
    return Counts(balance.described(), seconds)
