"""The teacher of a synthesis: a trained classifier, frozen, and what must be known of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.seeding import seeded
from stillhouse.engine.signals import LOGITS
from stillhouse.errors import ModelError, WiringError
from stillhouse.models.given import set_eval
from stillhouse.models.outputs import named_outputs

TRIAL_IMAGES = 4
"""Images of noise that the teacher is tried on."""
NEAR = 1e-3
"""Tolerance, absolute and relative, of logits that are to be equal and of sums that are to be 1."""
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class FrozenTeacher:
    """A classifier in eval mode, frozen, on its device. Made by `frozen_teacher`.

    Args:
        module: it gives logits.
        image_shape: channels, height, width of its images.
        classes: how many logits.
        mean, std: how its images were normalised, per channel, for pixels in [0, 1].
        platform: device and precision.
    """

    module: nn.Module
    image_shape: Shape
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    platform: Platform

    @property
    def device(self) -> torch.device:
        """Where images are made."""
        return self.platform.device

    def role(self, reads: str, *, name: str = "teacher") -> Role:
        """The classifier as a node that reads a signal."""
        return Role(name, self.module, reads=reads)

    def head_weight(self) -> Tensor:
        """Weights of the Linear that gives the logits, [K, D].

        Raises:
            ModelError: there is none, or its output is not the logits.
        """
        role = self.role("batch.image")
        role.open(["embedding"])
        try:
            given = role.run({"batch.image": self.noise_images()})
        finally:
            role.close()
        head = role.head_module()
        logits, embedding = given["teacher.logits"], given["teacher.embedding"]
        with torch.no_grad():  # a convolution reads a map, here of one position
            through = head(embedding) if not isinstance(head, nn.Conv2d) else embedding
        if through.shape != logits.shape or not torch.allclose(through, logits, NEAR, NEAR):
            raise ModelError(
                f"the last Linear of the teacher ({role.head}) does not give its logits, so its "
                "weights are not those of the classes; use a method that needs no class similarity"
            )
        weight: Tensor = head.weight  # type: ignore[assignment]
        return weight.detach()

    def norms(self) -> list[tuple[str, nn.Module]]:
        """Path and module of each batch norm that keeps statistics.

        Raises:
            ModelError: there is none.
        """
        found: list[tuple[str, nn.Module]] = [
            (path, part)
            for path, part in self.module.named_modules()
            if isinstance(part, _NORMS) and part.running_mean is not None
        ]
        if not found:
            raise ModelError(
                f"the teacher ({type(self.module).__name__}) has no batch norm with running "
                "statistics, which this method matches; choose a method without (zero_shot, "
                "class_impressions), or set its weight bn to 0"
            )
        return found

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1] as the classifier wants them. Shapes: [B, C, H, W] to the same."""
        mean, std = (self.per_channel(values, pixels) for values in (self.mean, self.std))
        return (pixels - mean) / std

    def per_channel(self, values: Sequence[float], like: Tensor) -> Tensor:
        """One number per channel, shaped [C, 1, 1]."""
        return torch.tensor(values, device=like.device)[:, None, None]

    def noise_images(self) -> Tensor:
        """A few images of noise."""
        with seeded(0, "try"):
            return self.normalised(torch.rand(TRIAL_IMAGES, *self.image_shape)).to(self.device)


@contextmanager
def frozen_teacher(
    module: nn.Module,
    image_shape: Sequence[int],
    platform: Platform,
    *,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
) -> Iterator[FrozenTeacher]:
    """A classifier that was checked and is frozen; afterwards it is as it was before.

    Raises:
        ModelError: it fails on images of this shape, or gives probabilities or no logits.
        WiringError: a shape, mean or std that cannot be.
    """
    shape = _shape(image_shape)
    means, stds = _per_channel("mean", mean, shape), _per_channel("std", std, shape)
    if min(stds) <= 0:
        raise WiringError("synthesis", [f"std {list(std)}: every number must be above 0"])
    flags, homes = Flags([module]), Homes([module])
    try:
        homes.place(platform.device, channels_last=True)
        set_eval(module)
        module.requires_grad_(False)
        trial = FrozenTeacher(module, shape, 0, means, stds, platform)
        logits = _trial_logits(trial)
        yield FrozenTeacher(module, shape, logits.shape[1], means, stds, platform)
    finally:
        flags.restore()
        homes.restore()


def _shape(given: Sequence[int]) -> Shape:
    sides = tuple(int(side) for side in given)
    if len(sides) != 3 or min(sides) < 1:
        raise WiringError(
            "synthesis", [f"image_shape {list(given)}: give channels, height, width, such as "
                          "(1, 32, 32)"]
        )  # fmt: skip
    return sides[0], sides[1], sides[2]


def _per_channel(what: str, values: Sequence[float], shape: Shape) -> tuple[float, ...]:
    if len(values) not in (1, shape[0]):
        raise WiringError(
            "synthesis",
            [f"{what} has {len(values)} numbers, images have {shape[0]} channels; give one or one "
             "for each channel"],
        )  # fmt: skip
    return tuple(float(value) for value in values) * (shape[0] if len(values) == 1 else 1)


def _trial_logits(teacher: FrozenTeacher) -> Tensor:
    """The logits of a few images, once it is sure that they are logits."""
    images, name = teacher.noise_images(), type(teacher.module).__name__
    try:
        with torch.no_grad():
            logits = named_outputs(teacher.module(images)).get(LOGITS)
    except Exception as error:  # the user's module raises what it likes
        said = str(error).strip().splitlines()
        raise ModelError(
            f"the teacher ({name}) fails on images {list(teacher.image_shape)} (channels, height, "
            f"width): {said[0] if said else type(error).__name__}. Give the image_shape that it "
            "was trained on"
        ) from error
    if logits is None or logits.ndim != 2 or len(logits) != TRIAL_IMAGES or logits.shape[1] < 2:
        shape = "no tensor" if logits is None else f"a tensor {list(logits.shape)}"
        raise ModelError(f"the teacher ({name}) gives {shape} for {TRIAL_IMAGES} images; wanted "
                         "are logits [images, classes] of two classes or more")  # fmt: skip
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(f"the teacher ({name}) gives nan or inf for images of noise; are its "
                         "weights in order?")  # fmt: skip
    if bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < NEAR).all()):
        raise ModelError(
            f"the teacher ({name}) gives probabilities (each row sums to one), and a temperature "
            "divides logits; leave out its softmax. Logarithms of probabilities are fine, too"
        )
    return logits
