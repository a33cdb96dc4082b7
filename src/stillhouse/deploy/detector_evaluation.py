"""How good a detector's folder is on images with boxes."""

import torch

from stillhouse.data.detection.table import BoxTable
from stillhouse.data.detection.target import packed
from stillhouse.deploy.detector import DetectorPredictor, opened_image
from stillhouse.deploy.evaluation import places
from stillhouse.tasks.average_precision import Precisions, average_precision

BATCH = 16


def evaluate_detector(predictor: DetectorPredictor, table: BoxTable) -> Precisions:
    """Mean AP and AP of each class, in pixels of the images as they are stored.

    Of the test images of its run it is the run's own test metric.

    Args:
        predictor: the detector.
        table: images with boxes, whose classes must be the student's, in any order.

    Raises:
        DataError: other classes, or an image that cannot be read.
        MissingExtra: what computes mAP is not installed.
    """
    number = dict(
        zip(table.classes, places(predictor.classes, table.classes).tolist(), strict=True)
    )
    found, labels = [], []
    for start in range(0, len(table), BATCH):
        rows = table.rows[start : start + BATCH]
        images = [opened_image(row.image, row.name) for row in rows]
        found.append(predictor.detections(images))
        for row in rows:
            classes = torch.tensor([number[name] for name in row.classes], dtype=torch.int64)
            corners = torch.from_numpy(row.boxes)
            crowd, area = torch.from_numpy(row.crowd), torch.from_numpy(row.area)
            one = (1.0, 1.0)
            labels.append(packed(classes, corners, crowd, area, scale=one, rows=table.most))
    return average_precision(torch.cat(found), torch.stack(labels))
