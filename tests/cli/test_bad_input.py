"""A user's mistake: exit code 2, what was asked, what exists, what to do; never a traceback."""

from pathlib import Path

import pytest
import torch

TINY = ("--data", "digits", "--teacher", "convnet-8-8", "--student", "convnet-4-8")
CASES = {
    "model": (("--student", "resnet21x"), "resnet"),
    "method": (("--method", "kdd"), "nearest: kd"),
    "data": (("--data", "digit"), "digits"),
    "epochs": (("--epochs", "0"), "it must be at least 1"),
    "setting": (("--set", "method.temprature=2"), "nearest: temperature"),
    "override": (("--set", "epochs"), "key=value"),
    "key": (("--set", "epoch=3"), "nearest: epochs"),
    "weights": (("--teacher-weights", "none.safetensors"), "none.safetensors"),
    "import": (("--student", "python:os:getcwd"), "--allow-imports"),
    "precision": (("--set", "precision=fp8"), "fp32"),
    "batch": (("--set", "accumulate=1000"), "accumulate 1000"),
    "temperature": (("--set", "method.temperature=0"), "it must be above 0"),
    "device": (("--set", "device=meta"), "'meta' cannot be used here"),
    "mean": (
        ("--set", "teacher.input={mean: [0.5, 0.5, 0.5], std: [1, 1, 1]}"),
        "teacher: input.mean and std have 3 numbers, and the channels are 1; give 1 of each",
    ),
    "seeds": (("--set", "seeds=[1,1]"), "each seed may come once"),
    "no seed": (("--set", "seeds=0"), "seeds: it is 0; say how many, 1 or more, or list them"),
    "a word for seeds": (("--set", "seeds=three"), "seeds: it is 'three'; say how many"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_a_message(case: str, command, tmp_path: Path) -> None:
    arguments, expected = CASES[case]
    said = command("distill", *TINY, *arguments, "-o", "runs/bad")
    assert said.code == 2
    assert expected in said.err
    assert "Traceback" not in said.err
    assert said.err.startswith("stillhouse: ")
    assert not (tmp_path / "runs" / "bad").exists(), "nothing is written before all is checked"


TAPS = ("taps", "convnet-8-8", "--image")
SEARCH = ("search", "r.yaml")
SYNTHESIZE = ("synthesize", "none", "--model", "resnet8", "-o", "made")
SHAPE, COUNT = ("--shape", "1,8,8"), ("--count", "3")
OPTIONS = {
    "latency": (*SEARCH, "--latency-ms", "nan"),
    "no latency": (*SEARCH, "--latency-ms", "0"),
    "parameters": (*SEARCH, "--parameters", "9" * 20),
    "trials": (*SEARCH, "--trials", "0"),
    "epochs of a search": (*SEARCH, "--epochs", "-1"),
    "count": (*SYNTHESIZE, *SHAPE, "--count", "0"),
    "seed": (*SYNTHESIZE, *SHAPE, *COUNT, "--seed", "-1"),
    "classes": (*SYNTHESIZE, *SHAPE, *COUNT, "--classes", "9" * 20),
    "shape": (*SYNTHESIZE, *COUNT, "--shape", "1,8,-8"),
    "seed of a pair": ("derive", "resnet8", "--by", "depthwise", "--seed", "4294967296"),
    "classes of a pair": ("derive", "resnet8", "--by", "depthwise", "--classes", "0"),
    "image": (*TAPS, "0,8,8"),
    "sides": (*TAPS, "3,99999999,8"),
    "two sides": (*TAPS, "8,8"),
    "no teacher": (*TAPS, "3,8,8", "--data", "digits"),
    "weights of none": (*TAPS, "3,8,8", "--teacher-weights", "none"),
    "seeds": ("distill", *TINY, "-o", "made", "--seeds", "1000000000"),
    "batch": ("distill", *TINY, "-o", "made", "--batch", "nan"),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS)
def test_a_number_of_an_option_has_a_range(case: str, command, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("data: digits\nteacher: resnet8\nstudent: resnet8\n")
    option = OPTIONS[case][-2]
    said = command(*OPTIONS[case])
    assert said.code == 2
    assert "Traceback" not in said.err
    assert option in said.err or option[2:] in said.err
    assert [each.name for each in tmp_path.iterdir()] == ["r.yaml"]


def test_debug_shows_the_traceback(command) -> None:
    said = command("distill", *TINY, "--method", "kdd", "-o", "runs/bad", "--debug")
    assert said.code == 2
    assert "Traceback" in said.err


def test_all_problems_of_a_recipe_come_at_once(command, tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("data: {source: digits, vew: 3}\nstudnet: x\nepochs: none\nmethod: kdd\n")
    said = command("run", recipe)
    assert said.code == 2
    for part in ("data.vew", "studnet", "'student' is missing", "epochs", "kdd"):
        assert part in said.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [("- a\n- b", "mapping"), ("a: [", "YAML"), ("x: !!python/object/apply:os.getcwd []", "YAML")],
)
def test_a_recipe_is_data(text: str, expected: str, command, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text)
    said = command("run", "r.yaml")
    assert said.code == 2
    assert expected in said.err


def test_a_missing_recipe_names_the_nearest(command, tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text("data: digits")
    said = command("run", "digit.yaml")
    assert said.code == 2
    assert "nearest: digits.yaml" in said.err
    said = command("run", str(tmp_path))
    assert "is no directory of a run" in said.err


def test_a_foreign_directory_is_refused_and_left_alone(command, tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("words")
    said = command("distill", *TINY, "--epochs", 1, "-o", folder)
    assert said.code == 2
    assert "no directory of a run" in said.err
    assert [p.name for p in folder.iterdir()] == ["chapter.txt"]
    said = command("distill", *TINY, "--epochs", 1, "-o", folder / "chapter.txt")
    assert said.code == 2
    assert "is a file" in said.err


def test_another_run_in_the_directory_is_refused_with_the_field(command) -> None:
    tiny = (*TINY, "--batch", "256", "--seeds", "1", "--no-control", "-o", "runs/one")
    assert command("distill", *tiny, "--epochs", 1).code == 0
    said = command("distill", *tiny, "--epochs", 2)
    assert said.code == 2
    assert "epochs (there: 1, asked: 2)" in said.err


def test_a_pickled_model_is_refused_as_weights(command, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pt")
    said = command("distill", *TINY, "--teacher-weights", "whole.pt", "-o", "runs/bad")
    assert said.code == 2
    assert "whole.pt" in said.err


def test_a_report_of_no_run_says_what_is_missing(command, tmp_path: Path) -> None:
    for name in ("report", "resume"):
        said = command(name, tmp_path / "nowhere")
        assert said.code == 2
        assert "nowhere" in said.err


def test_a_term_that_explodes_names_itself(command) -> None:
    said = command(
        "distill", *TINY, "--set", "optimizer.lr=1e30", "--epochs", 3, "--seeds", 1, "-o", "runs/x"
    )
    assert said.code == 1
    assert "term 'label' is not finite at step" in said.err
    assert "learning rate" in said.err
