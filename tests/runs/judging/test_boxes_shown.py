"""Which test images are shown with boxes, what is found in them, and how the page writes them."""

from pathlib import Path

import torch
from torch import Tensor
from written_boxes import as_coco

from stillhouse.data.detection.sources import read_boxes
from stillhouse.data.detection.table import BoxTable
from stillhouse.data.views import PLAIN_VIEW
from stillhouse.records.answers import Answers
from stillhouse.records.boxes_shown import (
    BoxGallery,
    BoxPicture,
    ShownBox,
    read_gallery_of_boxes,
    write_gallery_of_boxes,
)
from stillhouse.report.page import render
from stillhouse.report.record import RunRecord
from stillhouse.runs.judging.boxes_shown import chosen_boxes, objects_found


def detections(*rows: list[float]) -> Tensor:
    """[1, 100, 6] of (class, score, box)."""
    found = torch.full((1, 100, 6), -1.0)
    found[0, : len(rows)] = torch.tensor(rows)
    return found


def test_objects_found_is_as_by_hand() -> None:
    """Two cells and a bar, and a crowd that nobody has to find."""
    label = torch.zeros(1, 5, 9)
    label[0, :, 0] = torch.tensor([0, 0, 1, 1, -1])
    label[0, :4, 1:5] = torch.tensor(
        [[0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30], [40, 40, 50, 50]]
    ).float()
    label[0, 3, 5] = 1
    good = [0, 0.9, 0.0, 0, 10, 9]  # IoU 0.9
    assert objects_found(detections(good), label).tolist() == [1]
    again, poor = [0, 0.8, 0.0, 0, 10, 10], [0, 0.8, 0.0, 0, 10, 4.9]
    assert objects_found(detections(good, again), label).tolist() == [1]
    assert objects_found(detections(poor), label).tolist() == [0]
    wrong, bar = [0, 0.7, 0.0, 20, 10, 30], [1, 0.6, 0.0, 20, 10, 30]
    assert objects_found(detections(wrong, bar), label).tolist() == [1]
    # Three objects, so the fourth surest box is not looked at.
    assert objects_found(detections(good, again, wrong, bar), label).tolist() == [1]


def test_images_are_chosen_by_the_rule_that_is_said(tmp_path: Path) -> None:
    """Of six test images the student is ahead on 4, behind on 1, and one has no boxes."""
    box = [(1, 4, 2, 14, 8, 0)]
    few = {"train": [box], "test": [box, box, []]}
    table = read_boxes(as_coco(tmp_path / "it", few), longest=48).parts["test"]
    assert isinstance(table, BoxTable)
    table = table.take(torch.tensor([0, 0, 1, 2, 1, 0]))
    label = table.show(torch.arange(6), view=PLAIN_VIEW, seed=0)["label"]
    hit = label[..., 1:5] * label[..., 7:9].repeat(1, 1, 2)
    says = torch.full((6, 100, 6), -1.0)
    says[:, 0, 0], says[:, 0, 1], says[:, 0, 2:] = 1, 0.9, hit[:, 0]
    nothing = torch.full((6, 100, 6), -1.0)
    student, control = says.clone(), nothing.clone()
    student[1], control[1] = nothing[1], says[1]
    of = {("student", 0): {"detections": student}, ("control", 0): {"detections": control}}
    found = chosen_boxes(table, Answers(label, of))
    assert found is not None
    whys = [one.why for one in found.pictures]
    assert whys[:3] == ["Drawn at random"] * 3
    assert set(whys[3:]) <= {f"The student finds {how} objects than the control"
                             for how in ("more", "fewer")}  # fmt: skip
    assert len(whys) == 5
    same = chosen_boxes(table, Answers(label, of))
    assert same is not None
    assert [one.name for one in same.pictures] == [one.name for one in found.pictures]
    assert "3 of the 5 test images with boxes" in found.rule
    one = found.pictures[0]
    assert one.boxes["truth"][0].name == "square"
    width, height = one.image.shape[2], one.image.shape[1]
    assert max(width, height) == 48
    at = next(row for row in range(6) if table.rows[row].name == one.name)
    assert abs(one.boxes["truth"][0].corners[0] - 4 * 48 / max(table.rows[at].size)) < 0.05
    assert chosen_boxes(table, Answers(label, {("student", 0): {}})) is None
    write_gallery_of_boxes(tmp_path, found)
    again = read_gallery_of_boxes(tmp_path)
    assert again.rule == found.rule
    assert [each.boxes for each in again.pictures] == [each.boxes for each in found.pictures]
    assert torch.equal(again.pictures[1].image, found.pictures[1].image)


def test_the_page_shows_names_of_anybody_as_text() -> None:
    bad = '"><script>alert(1)</script>'
    box = ShownBox((1.0, 2.0, 5.0, 6.0), bad, 0.5)
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    one = BoxPicture(bad, bad, {"truth": (box,), "student": (box, box)}, image)
    page = render(RunRecord("run", boxes=BoxGallery(bad, (bad,), (one,))))
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert 'class="box-0" x="1.0" y="2.0" width="4.0" height="4.0"' in page
    assert "annotated, 1 box<" in page
    assert "student, 2 boxes<" in page
    assert page.count("<use href=") == 1
