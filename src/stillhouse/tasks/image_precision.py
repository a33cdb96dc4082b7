"""AP of images that count so often: the same matches, other weights, for resampling images.

Which detection finds which box is settled within an image and a class, so it is settled once; what
a resample of images changes is how often each match counts. COCO's AP of any weights is then a few
sums, where a new evaluation of the drawn images would take seconds each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from stillhouse.data.detection.target import BOX, CLASS, CROWD
from stillhouse.tasks.average_precision import MAP, MAP50, MAP75, OVERLAPS, RECALLS, in_pixels
from stillhouse.verification.pairs import Floats

MOST = 100
"""Detections of a class in an image that count, the best ones: COCO's."""
NAMES = (MAP, MAP50, MAP75)


@dataclass(frozen=True)
class Matches:
    """The detections of one class over all images, the best score first.

    Shapes:
        image: int [D]; right, wrong: bool [T, D], by `OVERLAPS`; a detection of a crowd is neither.
        boxes: [N], boxes of each image, without crowds.
    """

    image: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    boxes: Floats


def matches(detections: Tensor, label: Tensor) -> list[Matches]:
    """The matches of each class that has boxes, as COCO makes them.

    Shapes:
        detections: [N, D, 6] in pixels of the source (class, score, box), class -1 fills up;
        label: [N, M, 9], see `stillhouse.data.detection.target`.
    """
    found = detections.double().cpu().numpy()
    truth = in_pixels(label).double().cpu().numpy()
    numbers = np.unique(truth[..., CLASS][truth[..., CLASS] >= 0]).astype(int)
    made = []
    for number in numbers:
        parts = [_of_image(f, t, number) for f, t in zip(found, truth, strict=True)]
        boxes = np.array([count for *_, count in parts], dtype=np.float64)
        if not boxes.any():
            continue
        image = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
        score = np.concatenate([part[0] for part in parts])
        order = np.argsort(-score, kind="mergesort")
        right, wrong = (np.concatenate([part[k] for part in parts], 1)[:, order] for k in (1, 2))
        last = np.flatnonzero(right.any(0))  # what is wrong behind the last find changes nothing
        kept = slice(0, last[-1] + 1 if len(last) else 0)
        made.append(Matches(image[order][kept], right[:, kept], wrong[:, kept], boxes))
    return made


def _of_image(
    found: np.ndarray, truth: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Scores of one class in one image, which are right and wrong [T, D], and how many boxes."""
    mine = found[found[:, 0] == number]
    mine = mine[np.argsort(-mine[:, 1], kind="mergesort")][:MOST]
    boxes = truth[truth[:, CLASS] == number]
    boxes = boxes[np.argsort(boxes[:, CROWD], kind="mergesort")]  # crowds last
    crowd = boxes[:, CROWD] == 1
    overlap = _overlap(mine[:, 2:], boxes[:, BOX], crowd)
    right = np.zeros((len(OVERLAPS), len(mine)), dtype=bool)
    wrong = np.ones_like(right)
    for t, least in enumerate(OVERLAPS):
        taken = np.zeros(len(boxes), dtype=bool)
        for d in range(len(mine)):
            fits = (overlap[d] >= min(least, 1 - 1e-10)) & ~taken
            own = fits & ~crowd
            if own.any():
                best = np.flatnonzero(own)
                # of equal overlaps the last one, as COCO's loop has it
                at = best[len(best) - 1 - int(np.argmax(overlap[d][best][::-1]))]
                taken[at], right[t, d], wrong[t, d] = True, True, False
            elif (overlap[d] >= min(least, 1 - 1e-10))[crowd].any():
                wrong[t, d] = False
    return mine[:, 1], right, wrong, int((~crowd).sum())


def _overlap(found: np.ndarray, boxes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU of each two; with a crowd the share of the detection that lies in it."""
    low = np.maximum(found[:, None, :2], boxes[None, :, :2])
    high = np.minimum(found[:, None, 2:], boxes[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    areas = (found[:, 2:] - found[:, :2]).prod(-1), (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    whole = np.where(crowd[None], areas[0][:, None], areas[0][:, None] + areas[1][None] - both)
    share: np.ndarray = np.divide(both, whole, out=np.zeros_like(both), where=whole > 0)
    return share


def weighted_precision(classes: Sequence[Matches], weight: Floats) -> Floats:
    """mAP, mAP50 and mAP75 of images that count so often; nan of a draw without any box.

    Shapes:
        weight: [R, N]; returns [R, 3].

    >>> one = Matches(np.array([0, 1]), np.array([[True, False]] * 10),
    ...               np.array([[False, True]] * 10), np.array([1.0, 1.0]))
    >>> weighted_precision([one], np.array([[1.0, 1.0], [2.0, 0.0]])).round(3).tolist()
    [[0.505, 0.505, 0.505], [1.0, 1.0, 1.0]]
    """
    of_class = np.stack([_precisions(one, weight) for one in classes])  # [C, R, T]
    there = ~np.isnan(of_class)
    count = there.sum(0)
    mean = np.divide(np.where(there, of_class, 0.0).sum(0), count, out=np.full(count.shape, np.nan),
                     where=count > 0)  # fmt: skip
    return np.stack([mean.mean(1), mean[:, 0], mean[:, OVERLAPS.index(0.75)]], 1)


def _precisions(one: Matches, weight: Floats) -> Floats:
    """AP of one class by IoU, [R, T]; nan where a draw has no box of it."""
    boxes = weight @ one.boxes
    shown = weight[:, one.image]
    found = np.full((len(weight), len(OVERLAPS)), np.nan)
    for t in range(len(OVERLAPS)):
        at = np.flatnonzero(one.right[t])
        right = np.cumsum(shown[:, at], 1)
        wrong = np.cumsum(shown * one.wrong[t], 1)[:, at] if len(at) else right
        both = right + wrong
        precision = np.divide(right, both, out=np.zeros_like(right), where=both > 0)
        best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        best = np.concatenate([best, np.zeros((len(weight), 1))], 1)
        for r in np.flatnonzero(boxes > 0):
            places = np.searchsorted(right[r] / boxes[r], RECALLS, side="left")
            found[r, t] = best[r, places].mean()
    return found
