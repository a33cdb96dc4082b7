"""Targets: what the teacher is to say of each image that will be made."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stillhouse.engine.seeding import derive_seed
from stillhouse.errors import RecipeError
from stillhouse.synthesis.similarity import FLOOR, concentrations

NO_CLASS = -1
"""The asked class of an image that was made for none in particular."""


@dataclass(frozen=True, eq=False)
class Targets:
    """One row for each image of a transfer set.

    Shapes:
        probabilities: [N, K] float32, rows sum to one; asked: [N] int64, the class whose turn it
        was (the largest probability may be another one); beta: [N] float32, nan where there is
        none; cell: [N] int64, images that were asked for in the same way.
    """

    probabilities: Tensor
    asked: Tensor
    beta: Tensor
    cell: Tensor

    def __len__(self) -> int:
        return len(self.asked)

    def take(self, rows: Tensor) -> "Targets":
        """These rows."""
        parts = (self.probabilities, self.asked, self.beta, self.cell)
        return Targets(*(part[rows] for part in parts))


def dirichlet_targets(
    similarity: Tensor,
    count: int,
    *,
    betas: Sequence[float] = (1.0, 0.1),
    floor: float = FLOOR,
    seed: int = 0,
) -> Targets:
    """Draws ``y ~ Dir(beta * C_k + floor)``, all classes and betas in turn.

    Row r is of cell r modulo K * betas, so each beginning of the set is as balanced as can be.
    Every cell has a seed of its own: more images, or another order, change no image that was there.
    The largest entry of a draw is often not class k: for LeNet-5 on MNIST in half of the cases.

    Args:
        similarity: [K, K], from `class_similarity`.
        count: how many.
        betas: 1.0 and 0.1, half of the images of each class from each: the paper. The released
            code comes out at 1.0 for both.
        floor: see `similarity.FLOOR`.
        seed: of the draws.

    Raises:
        RecipeError: a beta or floor that is not above 0, or no beta.

    >>> targets = dirichlet_targets(torch.eye(3), 6, betas=[1.0, 0.1])
    >>> targets.asked.tolist(), [round(b, 1) for b in targets.beta.tolist()]
    ([0, 1, 2, 0, 1, 2], [1.0, 1.0, 1.0, 0.1, 0.1, 0.1])
    """
    if not betas or min(betas) <= 0 or floor <= 0:
        raise RecipeError(
            "targets", [f"betas {list(betas)} and floor {floor} must be numbers above 0"]
        )
    classes = len(similarity)
    cells = [(beta, number) for beta in betas for number in range(classes)]
    values = torch.empty(count, classes)
    for cell, (beta, number) in enumerate(cells):
        places = torch.arange(count)[cell :: len(cells)]
        # The place of beta, not beta itself: equal betas must not give equal draws.
        made = _generator(seed, "dirichlet", cell // classes, number)
        alpha = concentrations(similarity[number], beta, floor=floor).numpy()
        values[places] = torch.from_numpy(made.dirichlet(alpha, len(places))).float()
    cell_of = torch.arange(count) % len(cells)
    beta_of = torch.tensor(list(betas))[cell_of // classes]
    return Targets(values, cell_of % classes, beta_of, cell_of)


def one_hot_targets(classes: int, count: int) -> Targets:
    """All probability on one class, all classes in turn: class impressions.

    >>> one_hot_targets(2, 3).probabilities.tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    asked = torch.arange(count) % classes
    return Targets(torch.eye(classes)[asked], asked, _no_beta(count), asked)


def flat_targets(classes: int, count: int, *, concentration: float = 1.0, seed: int = 0) -> Targets:
    """Draws ``y ~ Dir(concentration)``, the same for all classes: it knows no similarity.

    Args:
        classes, count: how many.
        concentration: 1.0: every distribution over the classes is as likely as every other.
        seed: of the draws.

    Raises:
        RecipeError: a concentration that is not above 0.

    >>> flat_targets(3, 2).probabilities.sum(1).tolist()
    [1.0, 1.0]
    """
    if concentration <= 0:
        raise RecipeError("targets", [f"concentration {concentration} must be above 0"])
    drawn = _generator(seed, "flat").dirichlet([concentration] * classes, count)
    nobody = torch.full((count,), NO_CLASS)
    cell = torch.zeros(count, dtype=torch.int64)
    return Targets(torch.from_numpy(drawn).float(), nobody, _no_beta(count), cell)


def _generator(*parts: object) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derive_seed(*parts)))


def _no_beta(count: int) -> Tensor:
    return torch.full((count,), float("nan"))
