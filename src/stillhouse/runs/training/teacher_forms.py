"""What else a given teacher may have been trained on: other normalisations, orders and sizes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Numbers = tuple[float, ...]

NORMALISATIONS: dict[str, tuple[Numbers, Numbers]] = {
    "ImageNet's normalisation": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "pixels in 0..1": ((0.0,), (1.0,)),
    "pixels in -1..1": ((0.5,), (0.5,)),
    "pixels in 0..255": ((0.0,), (1 / 255,)),
    "CIFAR-10's normalisation": ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    "MNIST's normalisation": ((0.1307,), (0.3081,)),
    "the normalisation of CLIP": (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
}
"""Customs of published classifiers: mean and std of pixels in 0..1."""

SIZES = (28, 32, 64, 96, 128, 160, 192, 224, 256, 288, 299, 384)
"""Sides of images that classifiers are published for."""

STEP = 0.03
"""Of accuracy: what one change of the form must bring to be kept."""
ENOUGH = 0.98
"""Of accuracy: nothing more is tried."""
TIE = 0.01
"""Of accuracy: among forms so near to each other the more usual one is taken."""


@dataclass(frozen=True)
class Form:
    """One form of the image: what the data's own is changed into; None: as it is.

    Args:
        name: of the normalisation.
        mean, std: of it.
        bgr: blue first.
        size: side.
    """

    name: str | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    bgr: bool = False
    size: int | None = None

    @property
    def words(self) -> str:
        """What differs from the data's own form, in words.

        >>> Form(bgr=True, size=224).words
        'blue before red and images of 224 x 224'
        """
        said = [
            self.name,
            "blue before red" if self.bgr else None,
            f"images of {self.size} x {self.size}" if self.size else None,
        ]
        return " and ".join(each for each in said if each)

    @property
    def section(self) -> str:
        """The same as a recipe has it.

        >>> Form(name="pixels in 0..1", mean=(0.0,), std=(1.0,), size=32).section
        'teacher: {input: {size: 32, mean: [0], std: [1]}}'
        """
        keys = [f"size: {self.size}"] if self.size else []
        keys += ["order: bgr"] if self.bgr else []
        if self.mean is not None and self.std is not None:
            mean, std = (x[::-1] if self.bgr else x for x in (self.mean, self.std))
            keys += [f"mean: {_listed(mean)}", f"std: {_listed(std)}"]
        return f"teacher: {{input: {{{', '.join(keys)}}}}}"


def _listed(numbers: Numbers) -> str:
    return "[" + ", ".join(f"{n:.5g}" for n in numbers) + "]"


def candidates(form: Form, channels: int, side: int, *, pixels: bool) -> list[list[Form]]:
    """The forms that one may try from a form on, by what is changed.

    Args:
        form: from which one goes on.
        channels, side: of the image as the teacher reads it.
        pixels: whether it is known what the data's images were in 0..1.
    """
    known = NORMALISATIONS.items() if pixels else ()
    named = [
        replace(
            form, name=name, mean=mean * (channels // len(mean)), std=std * (channels // len(std))
        )
        for name, (mean, std) in known
        if channels % len(mean) == 0
    ]
    flipped = [replace(form, bgr=True)] if channels == 3 else []
    sized = [replace(form, size=size) for size in SIZES if size != side]
    return [named, flipped, sized]


def best_form(
    score: Callable[[Form], float | None], channels: int, side: int, *, pixels: bool
) -> tuple[Form, float]:
    """The form of the best score, change by change; one that brings little is out.

    ``score`` gives None for a form that cannot be tried.
    """
    best = Form()
    value = score(best) or 0.0
    for at in range(3):
        if value >= ENOUGH:
            break
        tried = candidates(best, channels, side, pixels=pixels)[at]
        found = [(score(form), form) for form in tried]
        known = [(number, form) for number, form in found if number is not None]
        if not known:
            continue
        top = max(number for number, _ in known)
        first, form = next(pair for pair in known if pair[0] >= top - TIE)
        if first >= value + STEP:
            best, value = form, first
    return best, value


def best_order(logits: Tensor, label: Tensor, classes: int) -> list[int]:
    """For each class the output that stands for it most often: the best assignment, one to one.

    Of the confusion matrix ``n(c, k)``, the number of rows of class c whose largest output is k,
    the permutation ``k(c)`` that maximises ``sum_c n(c, k(c))``.

    >>> import torch
    >>> best_order(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1]), 2)
    [1, 0]
    """
    counts = np.zeros((classes, logits.shape[1]))
    np.add.at(counts, (label.numpy(), logits.argmax(1).numpy()), 1)
    _, columns = linear_sum_assignment(-counts)
    return [int(k) for k in columns]


def in_order(logits: Tensor, order: Iterable[int], label: Tensor) -> float:
    """The accuracy of logits whose outputs are put in an order."""
    return float((logits[:, list(order)].argmax(1) == label).float().mean())


def permuted(logits: Tensor, label: Tensor, classes: int) -> float:
    """The accuracy that a permutation of the outputs gives, on rows that it was not chosen on."""
    even, odd = slice(0, None, 2), slice(1, None, 2)
    halves = [(even, odd), (odd, even)]
    values = [
        in_order(logits[other], best_order(logits[one], label[one], classes), label[other])
        for one, other in halves
    ]
    return sum(values) / 2


MANY, SURE = 64, 0.9
"""So many values between 0 and 1, one above `SURE`, are no logits."""


def probabilities(logits: Tensor) -> str | None:
    """Whether these are no logits but probabilities or their logarithms; None where they are.

    ``shares`` lie all between 0 and 1 and do not sum to 1, as after a sigmoid; that is told of many
    values alone, since a few logits may lie there by chance.

    >>> import torch
    >>> probabilities(torch.tensor([[0.25, 0.75], [0.5, 0.5]])), probabilities(-torch.ones(2, 2))
    ('probabilities', None)
    >>> probabilities(torch.linspace(0, 1, 100).view(10, 10))
    'shares'
    """
    z = logits.double()
    if len(z) < 2 or z.shape[1] < 2 or not bool(((z >= -1e-6) | (z < 0)).all()):
        return None
    near = 1e-3
    if bool((z >= 0).all()) and bool(((z.sum(1) - 1).abs() < near).all()):
        return "probabilities"
    if bool((z <= near).all()) and bool(((z.exp().sum(1) - 1).abs() < near).all()):
        return "logarithms of probabilities"
    if z.numel() >= MANY and bool(((z >= 0) & (z <= 1)).all()) and float(z.max()) > SURE:
        return "shares"
    return None
