"""The figures of detectors as a record: mean AP, AP of each class, and precision-recall curves."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.detection.target import CLASS, CROWD
from stillhouse.records.answers import Answers
from stillhouse.records.figures import OfClass, Plot, Series, TableFigures
from stillhouse.records.metric import Metric
from stillhouse.tasks.average_precision import (
    DETECTED,
    RECALLS,
    Precisions,
    average_precision,
)
from stillhouse.tasks.gains import gains_by_seed, network_figures
from stillhouse.tasks.image_precision import NAMES, matches, weighted_precision
from stillhouse.tasks.over_images import OverImages, gains_with_intervals, with_intervals
from stillhouse.verification.pairs import Floats
from stillhouse.verification.people import resampled

RESAMPLES = 500
"""Of the images: mAP of all networks and IoUs takes about a second for a hundred of them."""
MOST_CURVES = 9
"""Classes that have curves of their own: those with the most boxes."""
Network = tuple[str, int]


def detection_figures(
    answers: Answers, classes: Sequence[str], metric: Metric
) -> TableFigures | None:
    """What is measured of all detectors of a run; None where no detections are known.

    Args:
        answers: the detections of each row, with the boxes of all rows as label.
        classes: their names.
        metric: the headline, whose unit all figures have.
    """
    label = answers.label
    known = {key: said[DETECTED] for key, said in answers.of.items() if DETECTED in said}
    if label is None or not known:
        return None
    found = {key: average_precision(detected, label) for key, detected in known.items()}
    first = next(iter(found.values()))
    boxes = boxes_of_class(label)
    numbers = sorted(first.of_class)
    named = {number: class_metric(metric, classes[number]) for number in numbers}
    figures = {
        key: {**one.named, **{named[k].name: value for k, value in one.of_class.items()}}
        for key, one in found.items()
    }
    metrics = tuple(metric.model_copy(update={"name": name}) for name in first.named)
    roles = dict.fromkeys(role for role, _ in found)
    drawn = sorted(numbers, key=lambda number: -boxes[number])[:MOST_CURVES]
    networks = tuple(
        network_figures(role, {seed: one for (of, seed), one in figures.items() if of == role})
        for role in roles
    )
    gains = gains_by_seed(figures, [*metrics, *named.values()])
    over = _over_images(known, label)
    if over is not None:
        networks = tuple(with_intervals(one, over) for one in networks)
        gains = gains_with_intervals(gains, over)
    return TableFigures(
        table="test",
        title="Average precision",
        about=f"{len(label):,} test images have {sum(boxes.values()):,} boxes of {len(numbers)} "
        f"classes{_crowds(label)}. AP is COCO's: over recall, IoU 0.5 to 0.95, the best 100 boxes "
        "of an image.",
        over="" if over is None else "images",
        count=0 if over is None else len(label),
        metrics=metrics,
        networks=networks,
        gains=gains,
        plots=(
            _curves("Precision against recall", found, _mean_of_classes, _over_all(len(numbers))),
            *(
                _curves(
                    f"{classes[number]}, {boxes[number]:,} boxes",
                    found,
                    lambda one, number=number: one.curves[number],  # type: ignore[misc]
                    _of_each(len(numbers)),
                    small=True,
                )
                for number in sorted(drawn)
                if len(numbers) > 1
            ),
        ),
        by_class=tuple(
            OfClass(name=classes[number], metric=named[number], count=boxes[number])
            for number in numbers
        ),
        counted="boxes",
    )


def _over_images(known: Mapping[Network, Tensor], label: Tensor) -> OverImages | None:
    """MAP of all networks on resamples of the images; None of a single image."""
    if len(label) < 2:
        return None
    classes = [matches(detected, label) for detected in known.values()]

    def measure(weight: Floats) -> Floats:
        return np.stack([weighted_precision(each, weight) for each in classes], 1)

    rows = np.arange(len(label))
    return OverImages(tuple(known), NAMES, resampled(measure, rows, rows, resamples=RESAMPLES))


def class_metric(metric: Metric, name: str) -> Metric:
    """AP of one class.

    >>> class_metric(Metric(name="mAP", unit="%", scale=100.0), "cell").name
    'AP of cell'
    """
    return metric.model_copy(update={"name": f"AP of {name}"})


def boxes_of_class(label: Tensor) -> dict[int, int]:
    """How many boxes of each class there are, without crowds.

    Shapes:
        label: [N, M, 9], see `stillhouse.data.detection.target`.
    """
    kept = label[(label[..., CLASS] >= 0) & (label[..., CROWD] == 0)][:, CLASS]
    numbers, counts = kept.long().unique(return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def _crowds(label: Tensor) -> str:
    count = int(((label[..., CLASS] >= 0) & (label[..., CROWD] == 1)).sum())
    what = "are crowds or difficult and count" if count > 1 else "is a crowd or difficult, counting"
    return f"; {count:,} more {what} for nobody" if count else ""


def _mean_of_classes(one: Precisions) -> Tensor:
    return torch.stack(list(one.curves.values())).mean(0)


def _over_all(classes: int) -> str:
    over = f"the mean of the {classes} classes, " if classes > 1 else ""
    return f"At IoU 0.5; {over}means over the seeds. Higher and farther right is better."


def _of_each(classes: int) -> str:
    few = f" The {MOST_CURVES} classes with the most boxes." if classes > MOST_CURVES else ""
    return f"Precision against recall of one class each, at IoU 0.5, means over the seeds.{few}"


def _curves(
    title: str,
    found: Mapping[Network, Precisions],
    of: Callable[[Precisions], Tensor],
    note: str,
    *,
    small: bool = False,
) -> Plot:
    """A line for each role: precision at each recall, the mean over its seeds."""
    lines = []
    for role in dict.fromkeys(role for role, _ in found):
        mine = torch.stack([of(one) for (whose, _), one in found.items() if whose == role])
        heights = tuple(round(100 * value, 3) for value in mine.mean(0).tolist())
        across = tuple(round(100 * recall, 3) for recall in RECALLS)
        lines.append(Series(role=role, name=role, x=across, y=heights))
    return Plot(
        title=title, x="recall, %", y="precision, %", series=tuple(lines), note=note, small=small
    )
