"""Targets: what the teacher is to say of each image that will be made.

For Zero-Shot KD they are drawn from the similarity of classes, which the head of a classifier knows
without any image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stillhouse.engine.seeding import derive_seed
from stillhouse.errors import ModelError, RecipeError

NO_CLASS = -1
"""The asked class of an image that was made for none in particular."""

FLOOR = 1e-4
"""Added to every concentration, after the multiplication by beta: the released Zero-Shot KD code.

The row-wise min-max makes the smallest entry of each row exactly 0, and a Dirichlet distribution
needs numbers above 0. A class with this concentration gets practically no probability (a draw of
Gamma(1e-4) is below 1e-300 in 93 of 100 cases), which is what a similarity of 0 means, and it moves
the diagonal, which is beta, by a tenth of a percent at beta 0.1. Dropping the class instead would
say the same and need draws of another length in every row.
"""


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


def class_similarity(weight: Tensor) -> Tensor:
    """Cosine between the weights of two classes, each row stretched to 0..1.

    ``C(i, j) = w_i . w_j / (|w_i| |w_j|)``, then ``(C(i, j) - min_j C(i, j)) / (1 - min_j C(i,
    j))``: the diagonal is 1 and the least similar class of each row is exactly 0. The bias is not
    used. With two classes it is the identity, so that targets are one-hot.

    Shapes:
        weight: [K, D], of the head; returns [K, K] float64 on the CPU; not symmetric.

    Raises:
        ModelError: fewer than two classes, a class without weights, or classes that are all alike.

    Paper: Nayak et al., "Zero-Shot Knowledge Distillation in Deep Networks", ICML 2019, section 3.

    Differs from the authors' code: it stretches the whole matrix first and the rows then, which
        comes to the same.

    >>> class_similarity(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]]))[0].tolist()
    [1.0, 0.5, 0.0]
    """
    rows = weight.detach().double().cpu()
    norms = rows.norm(dim=1, keepdim=True)
    if len(rows) < 2 or not bool((norms > 0).all()) or not bool(torch.isfinite(rows).all()):
        raise ModelError(
            f"the head's weights {list(weight.shape)} give no class similarity: it takes two "
            "classes or more, each with weights that are finite and not all zero"
        )
    unit = rows / norms
    cosine = unit @ unit.T
    cosine.fill_diagonal_(1.0)
    low = cosine.min(1, keepdim=True).values
    if bool((low >= 1.0).any()):
        raise ModelError(
            "the head's weights point the same way for all classes, so no class is more similar "
            "than another; is the teacher trained?"
        )
    stretched: Tensor = (cosine - low) / (1.0 - low)
    return stretched


def concentrations(similarity: Tensor, beta: float, *, floor: float = FLOOR) -> Tensor:
    """Concentration of the Dirichlet distribution of each class: ``beta * C + floor``.

    A small beta gives peaks on single classes, a large one smooth mixtures: the variance falls as
    the sum of the concentrations grows.

    Shapes:
        similarity: [K, K] in 0..1; returns the same.

    >>> found = concentrations(torch.eye(2, dtype=torch.float64), 0.1)
    >>> [round(value, 4) for value in found[0].tolist()]
    [0.1001, 0.0001]
    """
    return beta * similarity + floor


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
        floor: see `FLOOR`.
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
        generator = _generator(seed, "dirichlet", cell // classes, number)
        alpha = concentrations(similarity[number], beta, floor=floor).numpy()
        values[places] = torch.from_numpy(generator.dirichlet(alpha, len(places))).float()
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
