"""A study from the command line: check, run, resume, show."""

import json
from pathlib import Path

import torch
from PIL import Image

from stillhouse.models import build_model

STUDY = """
title: Two weights
data: {source: digits, limit: 128}
teacher: {model: convnet-8, epochs: 1}
student: convnet-4
epochs: 1
seeds: 2
cache: never
compile: no
arms:
  th [x]: {method: {name: th_kd, form: paper, alpha: 0.5}}
sweep: {method.weight: [1, 2]}
against: weight=1
"""


def test_a_study_from_check_to_table(command) -> None:
    Path("two.yaml").write_text(STUDY)
    said = command("check", "two.yaml")
    assert said.code == 0, said.err
    assert "weight=2: convnet-8 -> convnet-4 on digits by kd" in said.out
    assert "9 trainings: 6 students, 2 controls, 1 teacher" in said.out
    assert "2 seeds are too few to tell: no word is said of a gain; use 3 or more" in said.out
    assert not Path("runs").exists()

    said = command("run", "two.yaml", "--set", "arms.th [x].method.alpha=0.25")
    assert said.code == 0, said.err
    for part in ("arm 3 of 3", "over weight=1", "by teacher head", "control (convnet-4, 1 epoch)"):
        assert part in said.out
    table = json.loads(Path("runs/two/study.json").read_text())
    assert table["arms"][0]["settings"]["method.alpha"] == 0.25

    again = command("resume", "runs/two", "-q")
    assert again.code == 0, again.err
    assert again.out.split("Two weights")[-1] == said.out.split("Two weights")[-1]
    shown = command("show", "runs/two")
    assert "corrected" in shown.out
    assert "th [x]" in shown.out
    assert "weight: 2.0" in command("show", "two.yaml").out


def test_problems_are_told_by_arm(command) -> None:
    Path("two.yaml").write_text(STUDY)
    said = command("run", "two.yaml", "--set", "arms.th [x].method.alpah=1", "-o", "out")
    assert said.code == 2
    assert "arm 'th [x]'" in said.err
    assert "nearest: alpha" in said.err
    assert not Path("out").exists()


def test_check_tells_once_what_arms_have_in_common(command) -> None:
    for row in range(40):
        place = Path("pictures", "ab"[row % 2])
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 6 * row).save(place / f"{row}.png")
    Path("pictures/a/notes.txt").write_text("none")

    state = build_model("convnet-4-4", classes=2, channels=1).state_dict()
    wrong = {name: torch.arange(len(value)) / 1 if value.shape == (2,) else torch.zeros_like(value)
             for name, value in state.items()}  # fmt: skip
    torch.save(wrong, "teacher.pt")  # it says 'b' of all, which one of three validation images is
    Path("two.yaml").write_text(
        "data: {source: pictures, augment: none}\nseeds: 1\nepochs: 1\nstudent: convnet-2-4\n"
        "teacher: {model: convnet-4-4, weights: teacher.pt}\nsweep: {method.weight: [1, 2]}\n"
        "method: kd\n"
    )
    said = command("check", "two.yaml")
    assert said.code == 0, said.err
    assert said.out.count("left out are 1 .txt") == 1
    assert said.out.count("the teacher is hardly better than guessing") == 1
    assert said.out.count("teacher: validation accuracy") == 1
