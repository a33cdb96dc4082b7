"""From a finished synthesis to its gallery: its rows are gone through once."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.data.sources.synthesis import ASKED_FOR, BETA, IMAGE, LOGITS, SECONDS, STEPS, TARGET
from stillhouse.errors import DataError
from stillhouse.records.gallery import (
    BetaGroup,
    ClassBalance,
    Gallery,
    GalleryFacts,
    Impression,
    PixelRange,
)
from stillhouse.synthesis.balance import Balance, quantiles
from stillhouse.synthesis.gallery.pictures import (
    NearestImages,
    Pairs,
    chosen_rows,
    fitting_images,
    nearest_images,
    per_class,
    pictures,
    shown_classes,
)
from stillhouse.synthesis.gallery.rows import Manifest, Rows, open_rows
from stillhouse.synthesis.priors import target_kl


def make_gallery(
    synthesis_dir: str | Path,
    *,
    count: int | None = None,
    training: tuple[Tensor, Tensor] | Pairs | None = None,
    similarity: Tensor | None = None,
) -> Gallery:
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
    totals = _Totals(rows)
    manifest, classes = rows.manifest, len(rows.manifest.classes)
    shown = shown_classes(torch.bincount(totals.given, minlength=classes).tolist())
    most = per_class(*manifest.image_shape[1:])
    numbers = chosen_rows(totals.given, totals.confidence, shown, most)
    images = rows.images(numbers)
    near = None
    if training is not None:
        real = fitting_images(training, manifest.image_shape, classes)
        near = nearest_images(images, real)
    target_peak, achieved_peak = totals.concentration.peaks()
    facts = GalleryFacts(
        method=manifest.method,
        settings=manifest.settings,
        teacher=manifest.teacher.get("kind", ""),
        seed=manifest.seed,
        image_shape=manifest.image_shape,
        fingerprint=manifest.fingerprint,
        count=rows.count,
        made=manifest.count,
        seconds=round(totals.seconds, 3),
        images_per_second=round(rows.count / max(totals.seconds, 1e-9), 3),
        classes=manifest.classes,
        balance=manifest.balance if rows.count == manifest.count else totals.counted(),
        pixels=totals.pixels(),
        groups=totals.concentration.groups(),
        target_peak=target_peak,
        achieved_peak=achieved_peak,
        shown=shown,
        impressions=_impressions(totals, numbers, near),
        compared=0 if near is None else near.compared,
    )
    return Gallery(
        facts,
        impression=pictures(images),
        achieved=totals.concentration.achieved(),
        nearest=None if near is None else pictures(near.images),
        target=totals.concentration.target(),
        similarity=_similarity(similarity, manifest),
    )


class _Totals:
    """What is counted while all rows are gone through once."""

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

    def pixels(self) -> PixelRange:
        """The range of all pixels."""
        many, total, squares, low, high = self._pixels.T
        mean = total.sum() / many.sum()
        spread = (squares.sum() / many.sum() - mean**2).clamp_min(0).sqrt()
        return PixelRange(
            low=float(low.min()), high=float(high.max()), mean=float(mean), std=float(spread)
        )


def _moments(images: Tensor) -> Tensor:
    values = images.double()
    low, high = values.aminmax()
    many = torch.tensor(float(values.numel()))
    return torch.stack([many.double(), values.sum(), values.square().sum(), low, high])


def _impressions(
    totals: _Totals, numbers: list[int], near: NearestImages | None
) -> list[Impression]:
    found = []
    for place, row in enumerate(numbers):
        asked = int(totals.asked[row])
        found.append(
            Impression(
                row=row,
                given=int(totals.given[row]),
                asked=None if asked < 0 else asked,
                confidence=float(totals.confidence[row]),
                label=None if near is None else int(near.labels[place]),
                distance=None if near is None else float(near.distances[place]),
                likeness=None if near is None else float(near.likeness()[place]),
            )
        )
    return found


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
        self._with_target = False

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
                self._with_target = True
                sums.target = sums.target + _sorted(target[rows])
                sums.gap.append(target_kl(logits[rows], target[rows], temperature=self.temperature))

    def _add_peaks(self, given: Tensor, achieved: Tensor, target: Tensor | None) -> None:
        parts = [torch.ones(len(given)), achieved.amax(1)]
        parts.insert(1, torch.zeros(len(given)) if target is None else target.amax(1))
        for sums, values in zip(self._peaks, parts, strict=True):
            sums.index_add_(0, given, values.double())

    def groups(self) -> list[BetaGroup]:
        """The groups in numbers, largest beta first."""
        return [
            BetaGroup(
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
        if not self._with_target:
            return None
        return torch.stack([sums.target / sums.images for _, sums in self._ordered()]).float()

    def peaks(self) -> tuple[list[float | None], list[float | None]]:
        """Mean of the largest probability of target and softmax for each given class."""
        images, target, achieved = self._peaks.tolist()
        asked = target if self._with_target else [math.nan] * self.classes
        return _means(asked, images), _means(achieved, images)

    def _ordered(self) -> list[tuple[float | None, _Sums]]:
        return sorted(
            self._sums.items(), key=lambda pair: math.inf if pair[0] is None else -pair[0]
        )


def _sorted(probabilities: Tensor) -> Tensor:
    summed: Tensor = probabilities.double().sort(1, descending=True).values.sum(0)
    return summed


def _means(sums: list[float], images: list[float]) -> list[float | None]:
    return [
        total / many if many and not math.isnan(total) else None
        for total, many in zip(sums, images, strict=True)
    ]
