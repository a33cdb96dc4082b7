"""What a run warns of reaches all who read it later: its scores, its report, its outcome."""

import json
import re

import pytest
import torch
from PIL import Image
from torch import nn

import stillhouse
from stillhouse.runs.job.watcher import SilentWatcher

LEFT_OUT = "left out are 1 .gz, 2 .heic, 1 hidden"
OUTPUTS = "the teacher's outputs are probabilities (each row sums to 1)"
STUDENT = "the student's outputs are logarithms of probabilities"


@pytest.fixture
def folder(tmp_path):
    """Two classes of flat images; beside them what is none."""
    place = tmp_path / "pictures"
    for row in range(40):
        kind = ("dark", "light")[row % 2]
        (place / kind).mkdir(parents=True, exist_ok=True)
        grey = 40 + row if kind == "dark" else 200 - row
        Image.new("L", (8, 8), grey).save(place / kind / f"{row}.png")
    for name in ("dark/a.heic", "light/b.heic", "light/c.tar.gz", "dark/.thumb.png"):
        (place / name).write_bytes(b"none")
    return place


class Voice(SilentWatcher):
    """Keeps what it is warned of."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


class Ends(nn.Sequential):
    """Two numbers of an image, and what comes after them."""

    def __init__(self, end: nn.Module) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 2), end)


def test_a_warning_is_in_the_scores_the_report_and_the_outcome(folder, tmp_path):
    torch.manual_seed(0)
    teacher, student = Ends(nn.Softmax(1)), Ends(nn.LogSoftmax(1))

    def distilled(**more):
        return stillhouse.distill(
            teacher=teacher,
            student=student,
            data={"source": str(folder), "augment": "none"},
            out=tmp_path / "run",
            epochs=1,
            batch=8,
            seeds=1,
            control=False,
            **more,
        )

    outcome = distilled()
    told = outcome.warnings
    assert len(told) == len(set(told))
    for said in (LEFT_OUT, OUTPUTS, STUDENT):
        assert sum(said in each for each in told) == 1, told
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert tuple(scores["warnings"]) == told
    (taught,) = (model for model in scores["models"] if model["role"] == "teacher")
    assert OUTPUTS in taught["runs"][0]["notes"]["check"]
    page = (tmp_path / "run" / "report.html").read_text()
    notice = re.search(r"To know before these numbers are used</h2>\s*<ul>(.*?)</ul>", page, re.S)
    for said in (LEFT_OUT, OUTPUTS.replace("'", "&#39;"), STUDENT.replace("'", "&#39;")):
        assert said in notice[1]
    voice = Voice()
    again = distilled(watcher=voice)  # finished: nothing is written, and nothing is lost
    assert again.warnings == told
    assert (tmp_path / "run" / "report.html").read_text() == page
    assert LEFT_OUT in " ".join(voice.warned)
