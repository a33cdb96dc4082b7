"""Concentration: how peaked the teacher was asked to be, and how peaked it became."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from stillhouse.records.gallery import Group
from stillhouse.synthesis.balance import quantiles
from stillhouse.synthesis.priors import excess


@dataclass
class _Sums:
    """Of one beta: sums over its images."""

    achieved: Tensor
    target: Tensor
    images: int = 0
    gap: list[Tensor] = field(default_factory=list)


class Concentration:
    """Means of sorted probabilities, one group for each beta, taken in batch by batch.

    The probabilities of each image are sorted before the mean is taken: the first number is the
    mean of the largest one, whatever class it belongs to.

    Args:
        classes: how many.
        temperature: of the softmax that is compared with the targets.

    >>> seen = Concentration(2, temperature=1.0)
    >>> target = torch.tensor([[0.2, 0.8], [0.6, 0.4]])
    >>> seen.add(target.log(), target, torch.ones(2))
    >>> seen.groups()[0].images, round(seen.groups()[0].target, 4)
    (2, 0.7)
    """

    def __init__(self, classes: int, *, temperature: float) -> None:
        self.classes, self.temperature = classes, temperature
        self._sums: dict[float | None, _Sums] = {}
        self._peaks = torch.zeros(3, classes, dtype=torch.float64)  # images, target, achieved
        self._asked = False

    def add(self, logits: Tensor, target: Tensor | None, beta: Tensor | None) -> None:
        """Take in a batch.

        Shapes:
            logits, target: [B, K]; beta: [B], nan where there is none.
        """
        achieved = torch.softmax(logits.float() / self.temperature, 1)
        self._add_peaks(logits.argmax(1), achieved, target)
        if beta is None:
            beta = torch.full((len(logits),), float("nan"))
        parts = {round(value, 6): beta == value for value in beta[~beta.isnan()].unique().tolist()}
        for key, rows in {None: beta.isnan(), **parts}.items():  # rounded: it is a float32
            if not bool(rows.any()):
                continue
            empty = torch.zeros(self.classes, dtype=torch.float64)
            sums = self._sums.setdefault(key, _Sums(empty, empty))
            sums.images += int(rows.sum())
            sums.achieved = sums.achieved + _sorted(achieved[rows])
            if target is not None:
                self._asked = True
                sums.target = sums.target + _sorted(target[rows])
                sums.gap.append(excess(logits[rows], target[rows], temperature=self.temperature))

    def _add_peaks(self, given: Tensor, achieved: Tensor, target: Tensor | None) -> None:
        parts = [torch.ones(len(given)), achieved.amax(1)]
        parts.insert(1, torch.zeros(len(given)) if target is None else target.amax(1))
        for sums, values in zip(self._peaks, parts, strict=True):
            sums.index_add_(0, given, values.double())

    def groups(self) -> list[Group]:
        """The groups in numbers, largest beta first."""
        return [
            Group(
                beta=beta,
                images=sums.images,
                achieved=float(sums.achieved[0]) / sums.images,
                target=float(sums.target[0]) / sums.images if sums.gap else None,
                gap=quantiles(torch.cat(sums.gap)) if sums.gap else None,
            )
            for beta, sums in self._ordered()
        ]

    def achieved(self) -> Tensor:
        """Mean sorted softmax of the teacher. Shapes: [G, K], each row descending."""
        return torch.stack([sums.achieved / sums.images for _, sums in self._ordered()]).float()

    def target(self) -> Tensor | None:
        """Mean sorted target, [G, K]; None where none was asked for."""
        if not self._asked:
            return None
        return torch.stack([sums.target / sums.images for _, sums in self._ordered()]).float()

    def peaks(self) -> tuple[list[float | None], list[float | None]]:
        """Mean of the largest probability of target and softmax for each given class."""
        images, target, achieved = self._peaks.tolist()
        asked = target if self._asked else [math.nan] * self.classes
        return _over(asked, images), _over(achieved, images)

    def _ordered(self) -> list[tuple[float | None, _Sums]]:
        return sorted(
            self._sums.items(), key=lambda pair: math.inf if pair[0] is None else -pair[0]
        )


def _sorted(probabilities: Tensor) -> Tensor:
    summed: Tensor = probabilities.double().sort(1, descending=True).values.sum(0)
    return summed


def _over(sums: list[float], images: list[float]) -> list[float | None]:
    return [
        total / many if many and not math.isnan(total) else None
        for total, many in zip(sums, images, strict=True)
    ]
