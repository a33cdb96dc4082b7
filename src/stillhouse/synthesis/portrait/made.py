"""From a finished synthesis to its portrait: its rows are gone through once."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.data.sources.synthesis import ASKED_FOR, BETA, IMAGE, LOGITS, SECONDS, STEPS, TARGET
from stillhouse.errors import DataError
from stillhouse.records.gallery import ClassBalance, GalleryFacts, Impression, Pixels
from stillhouse.records.gallery import Gallery as Portrait
from stillhouse.synthesis.balance import Balance
from stillhouse.synthesis.portrait.concentration import Concentration
from stillhouse.synthesis.portrait.gallery import (
    Nearest,
    Pairs,
    chosen,
    nearest,
    per_class,
    pictures,
    shown_classes,
)
from stillhouse.synthesis.portrait.rows import Manifest, Rows, open_rows


def make_portrait(
    synthesis_dir: str | Path,
    *,
    count: int | None = None,
    training: tuple[Tensor, Tensor] | Pairs | None = None,
    similarity: Tensor | None = None,
) -> Portrait:
    """Look at a finished synthesis and keep what a reader wants to see.

    Shapes:
        training: images [N, C, H, W] float as the teacher takes them, and labels [N].

    Args:
        synthesis_dir: what `synthesize` filled.
        count: only the first rows are meant; all when not given.
        training: to compare with, for the picture only; one pair, or pieces one after another.
        similarity: [K, K]; that of the manifest when not given.

    Raises:
        DataError: the synthesis is not finished or damaged, has fewer rows, or the training images
            or the similarity do not fit it.
    """
    rows = open_rows(Path(synthesis_dir), count)
    seen = _Seen(rows)
    manifest, classes = rows.manifest, len(rows.manifest.classes)
    shown = shown_classes(torch.bincount(seen.given, minlength=classes).tolist())
    most = per_class(*manifest.image_shape[1:])
    numbers = chosen(seen.given, seen.confidence, shown, most)
    images = rows.images(numbers)
    near = None if training is None else nearest(images, _checked(training, manifest))
    target_peak, achieved_peak = seen.concentration.peaks()
    facts = GalleryFacts(
        method=manifest.method,
        settings=manifest.settings,
        teacher=manifest.teacher.get("kind", ""),
        seed=manifest.seed,
        image_shape=manifest.image_shape,
        fingerprint=manifest.fingerprint,
        count=rows.count,
        made=manifest.count,
        seconds=round(seen.seconds, 3),
        images_per_second=round(rows.count / max(seen.seconds, 1e-9), 3),
        classes=manifest.classes,
        balance=manifest.balance if rows.count == manifest.count else seen.counted(),
        pixels=seen.pixels(),
        groups=seen.concentration.groups(),
        target_peak=target_peak,
        achieved_peak=achieved_peak,
        shown=shown,
        impressions=_impressions(seen, numbers, near),
        compared=0 if near is None else near.compared,
    )
    return Portrait(
        facts,
        impression=pictures(images),
        achieved=seen.concentration.achieved(),
        nearest=None if near is None else pictures(near.images),
        target=seen.concentration.target(),
        similarity=_similarity(similarity, manifest),
    )


class _Seen:
    """All rows, gone through once."""

    def __init__(self, rows: Rows) -> None:
        classes, temperature = len(rows.manifest.classes), rows.manifest.balance.temperature
        self.balance = Balance(classes, temperature=temperature)
        self.concentration = Concentration(classes, temperature=temperature)
        self.seconds = 0.0
        given, confidence, asked, pixels = [], [], [], []
        for part in rows.parts():
            logits, target = part[LOGITS].float(), part.get(TARGET)
            self.balance.add(logits, target, part[ASKED_FOR], part[STEPS])
            self.concentration.add(logits, target, part.get(BETA))
            self.seconds += float(part[SECONDS].double().sum())
            given.append(logits.argmax(1))
            confidence.append(torch.softmax(logits / temperature, 1).amax(1))
            asked.append(part[ASKED_FOR])
            pixels.append(_moments(part[IMAGE]))
        self.given, self.confidence = torch.cat(given), torch.cat(confidence)
        self.asked = torch.cat(asked)
        self._pixels = torch.stack(pixels)

    def counted(self) -> ClassBalance:
        """The balance of these rows."""
        return ClassBalance.model_validate(self.balance.described())

    def pixels(self) -> Pixels:
        """The range of all pixels."""
        many, total, squares, low, high = self._pixels.T
        mean = total.sum() / many.sum()
        spread = (squares.sum() / many.sum() - mean**2).clamp_min(0).sqrt()
        return Pixels(
            low=float(low.min()), high=float(high.max()), mean=float(mean), std=float(spread)
        )


def _moments(images: Tensor) -> Tensor:
    values = images.double()
    low, high = values.aminmax()
    many = torch.tensor(float(values.numel()))
    return torch.stack([many.double(), values.sum(), values.square().sum(), low, high])


def _impressions(seen: _Seen, numbers: list[int], near: Nearest | None) -> list[Impression]:
    found = []
    for place, row in enumerate(numbers):
        asked = int(seen.asked[row])
        found.append(
            Impression(
                row=row,
                given=int(seen.given[row]),
                asked=None if asked < 0 else asked,
                confidence=float(seen.confidence[row]),
                label=None if near is None else int(near.labels[place]),
                distance=None if near is None else float(near.distances[place]),
                likeness=None if near is None else float(near.likeness()[place]),
            )
        )
    return found


def _checked(
    training: tuple[Tensor, Tensor] | Pairs, manifest: Manifest
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pieces of training images that fit the set."""
    pieces: Iterable[tuple[Tensor, Tensor]]
    pair = isinstance(training, tuple) and len(training) == 2 and isinstance(training[0], Tensor)
    pieces = [training] if pair else training  # type: ignore[list-item,assignment]
    shape, classes, some = manifest.image_shape, len(manifest.classes), False
    for images, labels in pieces:
        if tuple(images.shape[1:]) != shape or not images.is_floating_point():
            raise DataError(
                f"the training images are {images.dtype} {list(images.shape[1:])}; wanted are "
                f"floats {list(shape)}, as the teacher takes them"
            )
        if labels.shape != images.shape[:1]:
            raise DataError(f"{list(labels.shape)} labels for {len(images)} training images")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise DataError(f"the training labels are not all in 0..{classes - 1}")
        some |= len(images) > 0
        yield images.cpu(), labels.cpu()
    if not some:
        raise DataError("there is no training image to compare with; give some, or none at all")


def _similarity(given: Tensor | None, manifest: Manifest) -> Tensor | None:
    classes = len(manifest.classes)
    if given is None and manifest.similarity is None:
        return None
    try:
        found = torch.as_tensor(manifest.similarity if given is None else given).float().cpu()
    except ValueError as error:  # rows of several lengths
        raise DataError(f"the class similarity is no square of numbers ({error})") from None
    if found.shape != (classes, classes) or not bool(torch.isfinite(found).all()):
        raise DataError(
            f"the class similarity is {list(found.shape)}; wanted are finite numbers "
            f"{[classes, classes]}, a row and a column for each class"
        )
    return found
