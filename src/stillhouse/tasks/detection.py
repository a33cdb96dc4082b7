"""Objects in images: a detector learns from its own losses, and is measured by mean AP."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from stillhouse.models.detectors import as_detector
from stillhouse.models.detectors.adapter import FIELDS
from stillhouse.records.answers import Answers
from stillhouse.records.figures import TableFigures
from stillhouse.records.metric import Metric
from stillhouse.tasks.average_precision import (
    DETECTED,
    MAP,
    MAP50,
    MAP75,
    average_precision,
    in_source,
)
from stillhouse.tasks.detection_figures import detection_figures
from stillhouse.tasks.task import Task


class Detection(Task):
    """Boxes and their classes, by detectors of torchvision's form.

    The labelled term is the sum of the detector's own losses; what is measured is COCO's mean
    average precision (torchmetrics, which must be installed with faster-coco-eval), in the pixels
    of the images as they are stored.

    >>> Detection().reads, Detection().metric.name, Detection().outputs(3)
    (('image', 'label'), 'mAP', 4)
    """

    name = "detection"
    rows_are = "boxes"
    reads = ("image", "label")
    measured = ":detections"
    learnt = ":loss"
    parts = ":loss."
    metric = Metric(name=MAP, unit="%", scale=100.0)
    whole = (MAP, MAP50, MAP75)

    def loss(self, output: Tensor, label: Tensor, /) -> Tensor:
        """What the detector says itself: the sum of its losses, [B]."""
        return output.float()

    def rows(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """Nothing: precision is of a table as a whole."""
        return {}

    def answers(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """The detections of each row in pixels of its source, [B, 100, 6], and its label."""
        return {DETECTED: in_source(output.float(), label), "label": label.float()}

    def predict(self, output: Tensor, /) -> Tensor:
        """The detections, best first."""
        return output

    def of_table(self, answers: Mapping[str, Tensor], pairs: Any, /) -> Mapping[str, float]:
        """Mean AP over IoU 0.5 to 0.95, at 0.5 and at 0.75; by size where there are such boxes."""
        return average_precision(answers[DETECTED], answers["label"]).named

    def figures(
        self, answers: Answers, pairs: Any, table: str, /, *, classes: Sequence[str] = ()
    ) -> TableFigures | None:
        """Mean AP and AP of each class, of all networks, and precision-recall curves."""
        return detection_figures(answers, classes, self.metric)

    def adapted(self, network: nn.Module, /) -> nn.Module:
        """A detector as a network from a batch to its losses and detections."""
        return as_detector(network)

    def outputs(self, classes: int) -> int:
        """The classes and the background, as detectors of torchvision count them."""
        return classes + 1

    def output_problem(self, output: Tensor) -> str | None:
        """Detections are [B, 100, 6]."""
        return None if output.ndim == 3 and output.shape[2] == FIELDS else "detections [B, 100, 6]"

    def width_problem(self, width: int, classes: int) -> str | None:
        """A list of detections is as wide as it is."""
        return None

    def guessing(self, classes: int) -> float | None:
        """Boxes at random find nothing."""
        return 0.0

    def guessed(self, classes: int) -> str:
        """How one says of it that it guesses."""
        return "finding nothing"


def detection() -> Detection:
    """Detection of objects, see `Detection`."""
    return Detection()
