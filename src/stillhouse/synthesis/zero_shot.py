"""Zero-Shot KD: images that make a teacher say a given distribution over its classes.

Three kinds of targets: class similarity (Zero-Shot KD), one class (class impressions), anything
(flat Dirichlet). The last two say what the similarity is worth.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from annotated_types import MinLen
from torch import Tensor

from stillhouse.engine.optimisers import adamw
from stillhouse.engine.terms import Term
from stillhouse.methods.settings import Count, Positive, checked
from stillhouse.synthesis.inversion import Inversion, Start
from stillhouse.synthesis.priors import soft_cross_entropy
from stillhouse.synthesis.targets import (
    FLOOR,
    Targets,
    class_similarity,
    dirichlet_targets,
    flat_targets,
    one_hot_targets,
)
from stillhouse.synthesis.teacher import FrozenTeacher

REFERENCE = 100
"""Images in a batch of the released code. The loss is the sum over images divided by this, whatever
the size of the batch: Adam's epsilon is absolute, so a mean over more images would be another
update, and this way each image moves as it does in a batch of 100."""

MOST_CLASSES = 200
"""Of so many the manifest holds the similarity; of more it would be larger than all the rest."""

Rescale = Literal["never", "batch"]


@checked
def zero_shot(
    *,
    temperature: Positive = 20.0,
    steps: Count = 1500,
    lr: Positive = 1.0,
    betas: Annotated[tuple[Positive, ...], MinLen(1)] = (1.0, 0.1),
    floor: Positive = FLOOR,
    start: Start = "uniform",
    rescale: Rescale = "never",
    chained: bool = False,
    tolerance: Positive | None = None,
    batch: Count | None = None,
    compile: bool = False,
) -> Inversion:
    """Zero-Shot KD: impressions of targets that are drawn from class similarities.

    ``x = argmin_x H(y, softmax(T(x) / tau))`` with ``y ~ Dir(beta * C_k)``.

    Args:
        temperature: tau. 20: paper and code, for all data sets.
        steps: 1500: the code.
        lr: of Adam. The paper gives none. 1.0: the best of 0.1, 1 and 3 for 1,000 impressions of
            LeNet-5 here; a TensorFlow port takes 0.1 up to 3,000 images, 1 for 6,000, 3 for 24,000;
            the released CIFAR-10 code 0.001.
        betas: half of the images of each class from each. 1.0 and 0.1: the paper.
        floor: added to each concentration. 1e-4: the code.
        start: 'uniform' U[0, 1]: the code; or 'gaussian'.
        rescale: 'batch' stretches each 100 images of a class to [0, 1] after each step, as the
            code does; the paper has no bound on pixels.
        chained: start a batch from the images of the batch before, as the code does.
        tolerance: see `Inversion`; None: the exact form.
        batch: images at once; None: as many as fit. It changes the result by rounding only,
            unless batches are chained.
        compile: compile the step.

    Paper: Nayak et al., "Zero-Shot Knowledge Distillation in Deep Networks", ICML 2019.

    Differs from the authors' code: see `zero_shot_released`, which behaves like it.

    >>> zero_shot().steps, zero_shot(steps=10).settings["steps"]
    (1500, 10)
    """

    def draw(teacher: FrozenTeacher, count: int, seed: int) -> Targets:
        similarity = class_similarity(teacher.head_weight())
        return dirichlet_targets(similarity, count, betas=betas, floor=floor, seed=seed)

    own = {"betas": [float(beta) for beta in betas], "floor": floor, "rescale": rescale,
           "chained": chained}  # fmt: skip
    return _impressions(
        "zero_shot", draw, own, temperature=temperature, steps=steps, lr=lr, start=start,
        tolerance=tolerance, batch=batch, compile=compile, rescale=rescale, chained=chained,
        describe=_similarity,
    )  # fmt: skip


@checked
def zero_shot_released(
    *,
    temperature: Positive = 20.0,
    steps: Count = 1500,
    lr: Positive = 0.001,
    batch: Count | None = None,
    compile: bool = False,
) -> Inversion:
    """Zero-Shot KD as its released CIFAR-10 code does it, where that is not what the paper says.

    Both halves are drawn with beta 1 (the normalisation of rows cancels the factor of 0.1), each
    batch of 100 is stretched to [0, 1] after each step, and a batch starts from the one before.

    Args:
        temperature, steps, lr: 20, 1500 and 0.001: the code.
        batch: images at once, a multiple of 2 * classes; 200 * classes (100 of each class and
            half) when not given, as batches are chained in the code.
        compile: compile the step.

    Paper: Nayak et al., "Zero-Shot Knowledge Distillation in Deep Networks", ICML 2019.

    Differs from the authors' code: rows of classes go side by side, so Adam's moments begin anew
        with each batch of 100, where there they go on; the label of an image is kept as the
        teacher's argmax, and its softmax beside it.

    >>> zero_shot_released().settings["betas"], zero_shot_released().chained
    ([1.0, 1.0], True)
    """
    released = zero_shot(
        temperature=temperature, steps=steps, lr=lr, betas=(1.0, 1.0), rescale="batch",
        chained=True, batch=batch, compile=compile,
    )  # fmt: skip
    return replace(released, name="zero_shot_released")


@checked
def class_impressions(
    *,
    temperature: Positive = 20.0,
    steps: Count = 1500,
    lr: Positive = 1.0,
    start: Start = "uniform",
    tolerance: Positive | None = None,
    batch: Count | None = None,
    compile: bool = False,
) -> Inversion:
    """Class impressions: the same as `zero_shot`, with all probability on one class.

    ``x = argmin_x H(e_k, softmax(T(x) / tau))``. One of the baselines that a method which knows
    similarities has to beat.

    Args:
        temperature, steps, lr, start, tolerance, batch, compile: as of `zero_shot`.

    Paper: Mopuri et al., "Ask, Acquire, and Attack", ECCV 2018; the baseline of Zero-Shot KD.

    Differs from the authors' code: the loss is the cross-entropy at tau, not a logit alone.

    >>> class_impressions().name
    'class_impressions'
    """

    def draw(teacher: FrozenTeacher, count: int, _seed: int) -> Targets:
        return one_hot_targets(teacher.classes, count)

    return _impressions(
        "class_impressions", draw, {}, temperature=temperature, steps=steps, lr=lr, start=start,
        tolerance=tolerance, batch=batch, compile=compile,
    )  # fmt: skip


@checked
def flat_dirichlet(
    *,
    concentration: Positive = 1.0,
    temperature: Positive = 20.0,
    steps: Count = 1500,
    lr: Positive = 1.0,
    start: Start = "uniform",
    tolerance: Positive | None = None,
    batch: Count | None = None,
    compile: bool = False,
) -> Inversion:
    """Impressions of targets that know no similarity: ``y ~ Dir(concentration)`` for all classes.

    The other baseline of `zero_shot`.

    Args:
        concentration: 1.0: all distributions over the classes are as likely.
        temperature, steps, lr, start, tolerance, batch, compile: as of `zero_shot`.

    >>> flat_dirichlet().settings["concentration"]
    1.0
    """

    def draw(teacher: FrozenTeacher, count: int, seed: int) -> Targets:
        return flat_targets(teacher.classes, count, concentration=concentration, seed=seed)

    return _impressions(
        "flat_dirichlet", draw, {"concentration": concentration}, temperature=temperature,
        steps=steps, lr=lr, start=start, tolerance=tolerance, batch=batch, compile=compile,
    )  # fmt: skip


def _impressions(
    name: str,
    draw: Callable[[FrozenTeacher, int, int], Targets],
    own: dict[str, Any],
    *,
    temperature: float,
    steps: int,
    lr: float,
    start: Start,
    tolerance: float | None,
    batch: int | None,
    compile: bool,
    rescale: Rescale = "never",
    chained: bool = False,
    describe: Callable[[FrozenTeacher], dict[str, Any]] | None = None,
) -> Inversion:
    """What the methods of this file share; ``own``: settings that only one of them has."""
    options = {"temperature": temperature}
    target = Term("target", _reference_loss, ["teacher.logits", "target"], options=options)
    settings = {**own, "temperature": temperature, "steps": steps, "lr": lr, "start": start,
                "tolerance": tolerance, "compile": compile}  # fmt: skip
    return Inversion(
        name,
        draw,
        lambda _teacher: [target],
        steps,
        settings=settings,
        optimizer=adamw(lr, weight_decay=0.0),
        start=start,
        after_step=stretch if rescale == "batch" else None,
        temperature=temperature,
        tolerance=tolerance,
        batch=batch,
        chained=chained,
        compile=compile,
        describe=describe,
    )


def _similarity(teacher: FrozenTeacher) -> dict[str, Any]:
    """The class similarity that targets are drawn from, for the manifest."""
    if teacher.classes > MOST_CLASSES:
        return {}
    return {"similarity": class_similarity(teacher.head_weight()).round(decimals=4).tolist()}


def _reference_loss(logits: Tensor, target: Tensor, *, temperature: float) -> Tensor:
    return soft_cross_entropy(logits, target, temperature=temperature).sum() / REFERENCE


def stretch(_teacher: FrozenTeacher, images: Tensor, targets: Targets) -> None:
    """Stretch each run of 100 images of one cell to [0, 1], in place.

    Shapes:
        images: [B, C, H, W].
    """
    cells = targets.cell.to(images.device)
    order = torch.argsort(cells, stable=True)
    group = torch.empty_like(cells)
    begins = (
        torch.cumsum(torch.bincount(cells), 0)[cells[order]] - torch.bincount(cells)[cells[order]]
    )
    place = torch.arange(len(cells), device=images.device) - begins
    group[order] = cells[order] * len(cells) + place // REFERENCE
    number = torch.unique(group, return_inverse=True)[1]
    flat = images.flatten(1)
    count = int(number.max()) + 1
    low = flat.new_full((count,), float("inf")).scatter_reduce_(0, number, flat.amin(1), "amin")
    high = flat.new_full((count,), -float("inf")).scatter_reduce_(0, number, flat.amax(1), "amax")
    width = (high - low).clamp_min(torch.finfo(flat.dtype).tiny)[number]
    images.sub_(low[number][:, None, None, None]).div_(width[:, None, None, None])
