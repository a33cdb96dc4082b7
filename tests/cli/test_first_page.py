"""The first page, as a reader types it: its example in Python, its commands, the version."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import stillhouse

pytestmark = pytest.mark.programs

README = Path(__file__).resolve().parents[2] / "README.md"


def section(language: str) -> str:
    """The code of a language under the heading of one's own folder."""
    text = README.read_text()
    own = text[text.index("## On your own folder\n") :].split("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", own, re.DOTALL)
    return found


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's own folder, in a directory of their own."""
    place = tmp_path_factory.mktemp("reader")
    for at, flower in enumerate(("rose", "tulip")):
        (place / "photos" / flower).mkdir(parents=True)
        for row in range(20):
            image = Image.new("RGB", (10 + row % 3, 10), (120 * at + 4 * row, 90, 200 - 90 * at))
            image.save(place / "photos" / flower / f"{row}.jpg")
    return place


SHORTER = {"resnet56": "convnet-4-8", "resnet20": "convnet-4", "epochs=30": "epochs=1",
           "--epochs 30": "--epochs 1 --seeds 1", '"size": 64': '"size": 8',
           "data.size=64": "data.size=8", "seeds=3": "seeds=1, batch=16"}  # fmt: skip


def shorter(text: str) -> str:
    """An example with tiny networks and a short training."""
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    return text


def test_the_first_python_example_runs_in_six_lines(photos: Path, monkeypatch, capsys) -> None:
    text = section("python")
    assert len([line for line in text.splitlines() if line.strip()]) <= 6
    monkeypatch.chdir(photos)
    exec(compile(shorter(text), "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "points of test accuracy" in said
    assert re.search(r"rose|tulip", said)
    assert (photos / "runs/photos/report.html").is_file()


def test_its_commands_run_one_after_the_other(photos: Path, command, monkeypatch) -> None:
    monkeypatch.chdir(photos)
    lines = [shorter(line).split("#")[0].split() for line in section("sh").splitlines()]
    assert [words[1] for words in lines] == ["distill", "predict", "evaluate", "export"]
    for words in lines:
        there = importlib.util.find_spec("onnxruntime")  # a core environment exports otherwise
        given = [each if each != "onnx" or there else "torchscript" for each in words[1:]]
        said = command(*[each.replace("runs/photos", "runs/commands") for each in given])
        assert said.code == 0, said.err
    for name in ("one/rose", "other/lily"):
        shutil.copytree("photos/rose", name)
    assert "images, all of one" in command("evaluate", "runs/commands", "--data", "one").out
    said = command("evaluate", "runs/commands", "--data", "other")
    assert "the data have 1 class, and the student does not know lily" in said.err
    said = command("predict", "runs/commands", "no.jpg", "--format", "csv")
    assert (said.code, said.out) == (3, ""), "no header where nothing could be read"
    assert said.err.startswith("there is no file no.jpg\n")


def test_the_version_is_that_of_the_package(command) -> None:
    said = command("--version")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"stillhouse {stillhouse.__version__} (torch ")


def test_an_error_is_the_same_sentence_as_on_the_command_line(tmp_path: Path, command) -> None:
    asked = {"data": "digits", "student": "resnet9"}
    with pytest.raises(stillhouse.StillhouseError) as found:
        stillhouse.distill(**asked, method="label_smoothing", out=tmp_path / "run")
    options = [part for key, value in asked.items() for part in (f"--{key}", value)]
    said = command("distill", *options, "--method", "label_smoothing", "-o", "run")
    assert said.code == found.value.exit_code == 2
    assert " ".join(str(found.value).split()) in " ".join(said.err.split())
