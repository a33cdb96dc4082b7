"""Test images with the boxes of the truth, the control, the student and the teacher."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.detection.table import BoxTable
from stillhouse.data.detection.target import BOX, CLASS, CROWD, SCALE
from stillhouse.data.views import PLAIN_VIEW
from stillhouse.records.answers import Answers
from stillhouse.records.boxes_shown import (
    TRUTH,
    BoxGallery,
    BoxPicture,
    ShownBox,
    write_gallery_of_boxes,
)
from stillhouse.runs.job.job import Job
from stillhouse.tasks.average_precision import DETECTED, in_pixels

DRAWN, EACH_WAY = 3, 2
"""Images that are drawn, and images at most on which the student is ahead, or behind."""
OVERLAP = 0.5
"""IoU from which a box is found."""
ROLES = ("control", "student", "teacher")
RULE = (
    "Drawn: {drawn} of the {count:,} test images with boxes, at random (seed 0). The others: up to "
    "{each} images on which the student of the first seed finds most objects more than the control "
    "of that seed, and up to {each} on which it finds most fewer. Of each network its surest boxes "
    "are taken, as many as the image has; an object is found by a box of its class with an IoU of "
    "0.5 or more."
)


def write_boxes_shown(job: Job, answers: Answers) -> None:
    """Write them beside the run; nothing where there are no boxes, or no pictures are allowed."""
    table = job.data.splits.test
    if job.data.pictures and isinstance(table, BoxTable):
        found = chosen_boxes(table, answers)
        if found is not None:
            write_gallery_of_boxes(job.out, found)


def chosen_boxes(table: BoxTable, answers: Answers) -> BoxGallery | None:
    """The images that are shown, by `RULE`; None where no network detects."""
    known = {role: answers.seeds(role, DETECTED) for role in ROLES}
    if answers.label is None or not known["student"]:
        return None
    seed = min(known["student"])
    found = {
        role: said.get(seed, next(iter(said.values()))) for role, said in known.items() if said
    }
    if seed not in known["control"]:
        found.pop("control", None)
    label = in_pixels(answers.label)
    truth = label[..., CLASS].ge(0) & label[..., CROWD].eq(0)
    rows = truth.any(1).nonzero().flatten().numpy()
    drawn = sorted(np.random.default_rng(0).permutation(rows)[:DRAWN].tolist())
    why = dict.fromkeys(drawn, "Drawn at random")
    if "control" in found:
        mine, theirs = (objects_found(found[role], label) for role in ("student", "control"))
        ahead = (mine - theirs).numpy()
        for sign, said in ((1, "more"), (-1, "fewer")):
            best = np.argsort(-sign * ahead, kind="stable")[:EACH_WAY].tolist()
            heading = f"The student finds {said} objects than the control"
            why |= {row: heading for row in best if sign * ahead[row] > 0 and row not in why}
    roles = [role for role in ROLES if role in found]
    pictures = tuple(
        _picture(table, row, why[row], label[row], {role: found[role][row] for role in roles})
        for row in why
    )
    rule = RULE.format(drawn=len(drawn), count=len(rows), each=EACH_WAY)
    return BoxGallery(rule, tuple(map(str, table.classes)), pictures)


def surest(detections: Tensor, count: int) -> Tensor:
    """The surest boxes of an image, so many at most: rows of (class, score, box)."""
    rows = detections[detections[:, 0] >= 0]
    return rows[rows[:, 1].argsort(descending=True, stable=True)][:count]


def objects_found(detections: Tensor, label: Tensor) -> Tensor:
    """How many objects of each image its surest boxes find, as many boxes as there are objects.

    Each box finds one object at most: the surest box first, the object with the largest IoU.

    Shapes:
        detections: [N, D, 6] (class, score, box); label: [N, M, 9], in the same pixels; [N] int64.
    """
    counts = []
    for rows, boxes in zip(detections, label, strict=True):
        true = boxes[(boxes[:, CLASS] >= 0) & (boxes[:, CROWD] == 0)]
        free, count = torch.ones(len(true), dtype=torch.bool), 0
        for each in surest(rows, len(true)):
            fits = overlaps(each[2:], true[:, BOX]) * free * (true[:, CLASS] == each[0])
            if len(fits) and fits.max() >= OVERLAP:
                free[int(fits.argmax())] = False
                count += 1
        counts.append(count)
    return torch.tensor(counts, dtype=torch.int64)


def overlaps(one: Tensor, others: Tensor) -> Tensor:
    """IoU of a box [4] with boxes [M, 4], all as left, top, right, bottom.

    >>> overlaps(torch.tensor([0.0, 0, 2, 2]), torch.tensor([[1.0, 0, 3, 2]])).tolist()[0]
    0.3333333432674408
    """
    first, last = torch.maximum(one[:2], others[:, :2]), torch.minimum(one[2:], others[:, 2:])
    shared = (last - first).clamp(min=0).prod(1)
    areas = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1)
    return shared / (areas - shared).clamp(min=1e-9)


def _picture(
    table: BoxTable, row: int, why: str, label: Tensor, found: Mapping[str, Tensor]
) -> BoxPicture:
    """One image without the grey around it, its boxes in pixels of the picture."""
    shown = table.show(torch.tensor([row]), view=PLAIN_VIEW, seed=0)["image"][0]
    scale = label[0, SCALE]
    width, height = (torch.tensor(table.rows[row].size) / scale).round().int().tolist()
    image = (255 * shown[:, :height, :width]).round().to(torch.uint8)
    true = label[(label[:, CLASS] >= 0) & (label[:, CROWD] == 0)]
    boxes = {TRUTH: _boxes(true[:, BOX], true[:, CLASS], None, scale, table.classes)}
    for role, said in found.items():
        rows = surest(said, len(true))
        boxes[role] = _boxes(rows[:, 2:], rows[:, 0], rows[:, 1], scale, table.classes)
    return BoxPicture(table.rows[row].name, why, boxes, image)


def _boxes(
    corners: Tensor, numbers: Tensor, scores: Tensor | None, scale: Tensor, classes: Sequence[str]
) -> tuple[ShownBox, ...]:
    known = [None] * len(corners) if scores is None else [round(s, 4) for s in scores.tolist()]
    made = []
    for box, number, score in zip(corners / scale.repeat(2), numbers.long(), known, strict=True):
        left, top, right, bottom = (round(value, 2) for value in box.tolist())
        made.append(ShownBox((left, top, right, bottom), str(classes[int(number)]), score))
    return tuple(made)
