"""Pictures: which images are shown, how they look, and which training images are nearest."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.load import Splits, load
from stillhouse.data.tables import FloatTable, ImageTable
from stillhouse.errors import DataError

CLASSES = 10
"""Classes shown; of more, so many are chosen evenly among those that have images."""
SHOWN, SHOWN_LARGE, LARGE = 6, 4, 32
"""Images of a class, and of one whose images are larger than 32 pixels: a page stays light."""
LONGEST = 48
"""Pixels of a picture's longer side; larger ones are shrunk, after everything was measured."""
RANGE = (0.005, 0.995)
"""Quantiles of a picture's own values that become black and white."""
AT_ONCE = 2048
"""Training images that are compared in one go."""

Pairs = Iterable[tuple[Tensor, Tensor]]
"""Training images [N, C, H, W] and their labels [N], in as many pieces as one likes."""


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most so many of 0..count - 1, evenly and with both ends.

    >>> evenly_spaced(3, 10), evenly_spaced(100, 5)
    ([0, 1, 2], [0, 24, 49, 74, 99])
    """
    if count <= most:
        return list(range(count))
    return [step * (count - 1) // (most - 1) for step in range(most)]


def shown_classes(counts: list[int]) -> list[int]:
    """Classes of the gallery, by how many images each has.

    >>> shown_classes([3, 0, 2]), shown_classes([0] * 9 + [1, 5])
    ([0, 1, 2], [9, 10])
    """
    if len(counts) <= CLASSES:
        return list(range(len(counts)))
    filled = [number for number, images in enumerate(counts) if images]
    return [filled[place] for place in evenly_spaced(len(filled), CLASSES)]


def chosen_rows(given: Tensor, confidence: Tensor, shown: list[int], most: int) -> list[int]:
    """Rows that are shown: of each class some from the most to the least confident, evenly.

    Shapes:
        given: [N] class of each row; confidence: [N].

    >>> given, confidence = torch.tensor([0, 1, 0, 0]), torch.tensor([0.3, 0.9, 0.8, 0.5])
    >>> chosen_rows(given, confidence, [0, 1], 2)
    [2, 0, 1]
    """
    found: list[int] = []
    for number in shown:
        rows = (given == number).nonzero().squeeze(1)
        order = rows[confidence[rows].argsort(descending=True, stable=True)].tolist()
        found += [order[place] for place in evenly_spaced(len(order), most)]
    return found


def per_class(height: int, width: int) -> int:
    """How many images of a class are shown."""
    return SHOWN if max(height, width) <= LARGE else SHOWN_LARGE


def pictures(images: Tensor) -> Tensor:
    """Images as bytes to look at: each stretched to its own range, large ones shrunk.

    One range for all channels of an image, so that colours stay; what lies outside is cut off. An
    image of one value is grey. Other than 1 or 3 channels are averaged to one.

    Shapes:
        images: [n, C, H, W] float; returns [n, 1 or 3, h, w] uint8.

    >>> pictures(torch.tensor([[[[-3.0, 1.0], [1.0, 5.0]]]])).flatten().tolist()
    [0, 128, 128, 255]
    """
    if images.shape[1] not in (1, 3):
        images = images.mean(1, keepdim=True)
    if not len(images):
        return images.to(torch.uint8)
    stretched = torch.stack([_stretched(image) for image in images])
    longest = max(images.shape[2:])
    if longest > LONGEST:
        sides = [max(1, round(side * LONGEST / longest)) for side in images.shape[2:]]
        stretched = F.interpolate(stretched, sides, mode="bilinear", antialias=True).clamp(0, 1)
    return (255 * stretched).round().to(torch.uint8)


def _stretched(image: Tensor) -> Tensor:
    ordered = image.flatten().double().sort().values
    low, high = (ordered[round(q * (len(ordered) - 1))] for q in RANGE)
    if high <= low:
        return torch.full_like(image, 0.5)
    return ((image.double() - low) / (high - low)).clamp(0, 1).to(image.dtype)


def standardised(images: Tensor) -> Tensor:
    """Pixels of each image with mean 0 and deviation 1; of an image of one value all are 0.

    Shapes:
        images: [n, ...]; returns [n, D] float32.

    >>> standardised(torch.tensor([[1.0, 3.0], [2.0, 2.0]])).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    flat = images.flatten(1).float()
    flat = flat - flat.mean(1, keepdim=True)
    std = flat.std(1, correction=0, keepdim=True)
    return torch.where(std > 0, flat / std.clamp_min(torch.finfo(flat.dtype).tiny), 0.0)


@dataclass(frozen=True, eq=False)
class NearestImages:
    """The training images nearest to some images.

    Shapes:
        images: [n, C, H, W], as they were given; labels: [n]; distances: [n], Euclidean, of
        standardised pixels.

    Args:
        images, labels, distances: of the nearest.
        compared: how many training images there were.
    """

    images: Tensor
    labels: Tensor
    distances: Tensor
    compared: int

    def likeness(self) -> Tensor:
        """Correlation of the pixels of both, ``1 - d^2 / (2 D)``; D pixel values. Shapes: [n]."""
        return 1 - self.distances**2 / (2 * self.images[0].numel())


def nearest_images(images: Tensor, training: Pairs) -> NearestImages:
    """For each image the training image of the smallest Euclidean distance, of whatever class.

    Compared piece by piece, so memory holds the images and one piece. The first of equals is taken.

    Shapes:
        images: [n, C, H, W].

    >>> images = torch.tensor([[[[0.0, 5.0]]]])
    >>> real = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    >>> found = nearest_images(images, [(real, torch.tensor([7, 3]))])
    >>> found.labels.tolist(), found.distances.tolist()
    ([3], [0.0])
    """
    wanted = standardised(images)
    best = torch.full((len(images),), float("inf"))
    held, labels = torch.zeros_like(images), torch.zeros(len(images), dtype=torch.int64)
    compared = 0
    for pixels, classes in training:
        for piece, named in zip(pixels.split(AT_ONCE), classes.split(AT_ONCE), strict=True):
            compared += len(piece)
            if not len(piece):
                continue
            flat = standardised(piece)
            # Its own square tells nothing of which is nearest, and costs digits.
            score, place = (flat.square().sum(1) - 2 * wanted @ flat.T).min(1)
            closer = score < best
            best = torch.where(closer, score, best)
            held[closer] = piece[place[closer]].to(held.dtype)
            labels[closer] = named[place[closer]]
    return NearestImages(held, labels, (wanted - standardised(held)).norm(dim=1), compared)


def training_images(
    source: str | Path | Splits | Any, image_shape: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Training images of a source, piece by piece, in [0, 1] and of the teacher's size.

    Channels are averaged to one or repeated as it takes; the size is reached by bilinear resizing
    with antialiasing. They are not normalised: a comparison standardises each image anyway.

    Args:
        source: what `data.load` takes.
        image_shape: channels, height, width.

    Yields:
        images [n, C, H, W] float32 and labels [n].

    Raises:
        DataError: the source cannot be read, or its images are not of one size in memory.

    >>> images, labels = next(training_images("digits", (1, 16, 16)))
    >>> images.shape[1:], images.min().item(), len(images) == len(labels)
    (torch.Size([1, 16, 16]), 0.0, True)
    """
    splits = load(source, validation=0, test=0)
    table = splits.train
    if not isinstance(table, ImageTable):
        raise DataError(
            f"'{splits.name}' has images of several sizes; the nearest ones are looked for among "
            "images of one size in memory: give such a source"
        )
    return _pieces(table, image_shape)


def _pieces(table: ImageTable, image_shape: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    channels, height, width = image_shape
    scale = 1.0 if isinstance(table, FloatTable) else 255.0
    for pixels, labels in zip(
        table.images.split(AT_ONCE), table.labels.split(AT_ONCE), strict=True
    ):
        images = pixels.permute(0, 3, 1, 2).float() / scale
        if images.shape[1] != channels:
            images = images.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        if tuple(images.shape[2:]) != (height, width):
            images = F.interpolate(images, (height, width), mode="bilinear", antialias=True)
        yield images.contiguous(), labels


def fitting_images(
    training: tuple[Tensor, Tensor] | Pairs, image_shape: tuple[int, int, int], classes: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pieces of training images, each once it is sure that it fits the set.

    Raises:
        DataError: images of another shape, labels that do not belong to them, or no image at all.
    """
    pieces: Iterable[tuple[Tensor, Tensor]]
    pair = isinstance(training, tuple) and len(training) == 2 and isinstance(training[0], Tensor)
    pieces = [training] if pair else training  # type: ignore[list-item,assignment]
    some = False
    for images, labels in pieces:
        if tuple(images.shape[1:]) != image_shape or not images.is_floating_point():
            raise DataError(
                f"the training images are {images.dtype} {list(images.shape[1:])}; wanted are "
                f"floats {list(image_shape)}, as the teacher takes them"
            )
        if labels.shape != images.shape[:1]:
            raise DataError(f"{list(labels.shape)} labels for {len(images)} training images")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise DataError(f"the training labels are not all in 0..{classes - 1}")
        some |= len(images) > 0
        yield images.cpu(), labels.cpu()
    if not some:
        raise DataError("there is no training image to compare with; give some, or none at all")
