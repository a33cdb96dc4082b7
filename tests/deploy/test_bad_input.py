"""What a student's folder does with images, lists and folders that are not as they should be."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.deploy.export import export_student
from stillhouse.deploy.handed import predict as alone
from stillhouse.deploy.preprocessing import Preprocessing
from stillhouse.errors import DataError, RunError

pytestmark = pytest.mark.programs

CLASSES = ("=1+1", 'a,"b"', "c\nd")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, drawn = tmp_path_factory.mktemp("bad"), np.random.default_rng(0)
    for part, rows in (("train", 6), ("val", 2), ("test", 2)):
        for name in CLASSES:
            (place / "data" / part / name).mkdir(parents=True)
            for row in range(rows):
                values = drawn.integers(0, 256, (8, 10, 3), dtype=np.uint8)
                Image.fromarray(values).save(place / "data" / part / name / f"{row}.png")
    sh.distill(data=place / "data", student="convnet-4", teacher="convnet-4", out=place / "run",
               epochs=1, seeds=1, batch=6, precision="fp32", control=False)  # fmt: skip
    return place / "run"


def _pictures(place: Path) -> list[Path]:
    """One image in every form that Pillow writes and the rule of pixels reads."""
    drawn = np.random.default_rng(1)
    image = Image.fromarray(drawn.integers(0, 256, (33, 50, 3), dtype=np.uint8))
    veil = Image.fromarray(drawn.integers(0, 256, (33, 50), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    clear, faint = image.copy(), image.convert("L").convert("LA")
    clear.putalpha(veil)
    faint.putalpha(veil)
    forms: dict[str, tuple[Image.Image, dict[str, object]]] = {
        "rgb.png": (image, {}), "grey.png": (image.convert("L"), {}),
        "one.png": (image.convert("1"), {}),
        "turned.jpg": (image, {"exif": turned}), "cmyk.jpg": (image.convert("CMYK"), {}),
        "rgba.png": (clear, {}), "la.png": (faint, {}), "palette.png": (image.quantize(16), {}),
        "clear.png": (image.quantize(16), {"transparency": 3}),
        "turned.png": (image.quantize(16), {"exif": turned}), "lab.tif": (image.convert("LAB"), {}),
        "key.png": (image.convert("L"), {"transparency": 100}),
        "moves.gif": (image.quantize(8), {"save_all": True, "append_images": [veil.quantize(8)]}),
        "dot.png": (Image.new("RGB", (1, 1), (9, 8, 7)), {}),
        "line.png": (Image.new("L", (900, 1), 9), {}),
    }  # fmt: skip
    for name, (form, options) in forms.items():
        form.save(place / name, **options)
    return [place / name for name in forms]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("held", [0, 20])
def test_the_script_prepares_every_kind_of_image_to_the_bit_as_the_predictor(
    channels: int, held: int, tmp_path: Path
) -> None:
    wanted = Preprocessing(pixels=True, channels=channels, height=12, width=16, size=(12, 16),
                           held=held, resize=held and 24)  # fmt: skip
    for path in _pictures(tmp_path):
        there = alone.pixels(str(path), wanted.model_dump(mode="json"))[0]
        assert torch.equal(there, wanted.of(path)), path.name


@pytest.mark.parametrize("channels", [1, 3])
def test_more_than_eight_bits_and_what_would_fill_the_memory_are_refused_alike(
    channels: int, tmp_path: Path
) -> None:
    deep = Image.fromarray(np.full((4, 4), 40000, np.uint16))
    deep.save(tmp_path / "deep.png")
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    Image.new("L", (60000, 1)).save(tmp_path / "long.png")
    (tmp_path / "page.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    os.mkfifo(tmp_path / "pipe.png")
    wanted = Preprocessing(pixels=True, channels=channels, height=99, width=99, size=(99, 99))
    for name in ("deep.png", "float.tif", "long.png", "page.eps", "pipe.png", "zero\0byte"):
        with pytest.raises(DataError):
            wanted.of(tmp_path / name)
        with pytest.raises((OSError, ValueError)):
            alone.pixels(str(tmp_path / name), wanted.model_dump(mode="json"))
    with pytest.raises(DataError, match="more than 8 bits"):
        wanted.of(deep)


def test_a_folder_is_read_as_training_reads_it_and_every_name_can_be_written(
    finished: Path, tmp_path: Path
) -> None:
    place = tmp_path / "photos"
    (place / "folder.png").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    picture = Image.new("RGB", (9, 9), (9, 200, 8))
    for name in ("übel.png", "two\nlines.png", "folder.png/in.png", "../beside/linked.png"):
        picture.save(place / name)
    shutil.copy(place / "übel.png", os.fsencode(place) + b"/latin\xe9.png")
    (place / "link").symlink_to("../beside")
    (place / "notes.txt").write_text("no image")
    for form in ("csv", "json"):
        out = tmp_path / "new" / f"all.{form}"
        ran = CliRunner().invoke(
            app, ["predict", str(finished), str(place), "--format", form, "-o", str(out)]
        )
        assert ran.exit_code == 0, ran.output
        assert "left out are 1 .txt" in ran.stderr
    with (tmp_path / "new" / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    text = (tmp_path / "new" / "all.json").read_text(encoding="utf-8")
    told = [json.loads(line) for line in text.splitlines()]
    assert [row["image"] for row in rows] == [line["image"] for line in told]
    assert {Path(row["image"]).name for row in rows} == {
        "übel.png", "two\nlines.png", "in.png", "linked.png", "latin\\xe9.png",
    }  # fmt: skip
    assert {row["class"] for row in rows} <= set(CLASSES)
    assert list(told[0]["probabilities"]) == sorted(CLASSES)


def test_a_list_on_stdin_is_read_by_line_and_a_failure_leaves_no_part_of_a_file(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / " a.png")
    lines = f"{tmp_path}/ a.png\n\n{tmp_path}/none.png\n{tmp_path}/ a.png\n"
    ran = CliRunner().invoke(app, ["predict", str(finished), "-"], input=lines)
    assert ran.exit_code == 3
    assert ran.stdout.count(" a.png") == 2
    assert "1 of 3 images could not be read" in ran.stderr

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stillhouse.deploy.predictor.Predictor.told", fails)
    out = tmp_path / "out" / "a.csv"
    CliRunner().invoke(app, ["predict", str(finished), str(tmp_path / " a.png"), "--format", "csv",
                             "-o", str(out)])  # fmt: skip
    assert not list(out.parent.iterdir())


def _edit(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        found = json.loads((folder / "config.json").read_text())
        change(found["stillhouse"])
        (folder / "config.json").write_text(json.dumps(found))

    return damage


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ours: ours["classes"].append("x"), "gives 3 logits, and there are 4 classes"),
        (lambda ours: ours.update(classes=["x"] * 3), "two classes have one name"),
        (lambda ours: ours["input"].update(width=0), "1 or more"),
        (lambda ours: ours["input"].update(held=20), "resize is at least"),
        (lambda ours: ours["input"]["inside"].update(std=[0, 0, 0]), "above 0"),
        (lambda ours: ours["input"]["inside"].update(mean=[0.5]), "each mean has a std"),
        (lambda ours: ours.update(format=2), "this version reads 1"),
    ],
)
def test_a_config_that_cannot_be_is_a_sentence(change, said, finished, tmp_path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished / "student", folder)
    _edit(change)(folder)
    with pytest.raises(RunError, match=said):
        sh.load(folder)


def test_the_script_refuses_another_program(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished / "student", folder)
    (folder / "model.pt2").write_bytes(b"another")
    ran = subprocess.run(
        [sys.executable, str(folder / "predict.py"), "a.png"], capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert "damaged or changed" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_export_is_whole_or_not_there(finished: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "new" / "folder"
    (finished / "student" / "foreign.txt").write_text("mine")
    try:
        list(export_student(finished, "hub", out))
    finally:
        (finished / "student" / "foreign.txt").unlink()
    assert {each.name for each in out.iterdir()} == {
        "README.md", "config.json", "model.pt2", "model.safetensors", "predict.py",
    }  # fmt: skip
    list(export_student(finished, "pt2", tmp_path / "new" / "a.pt2"))
    assert sorted(each.name for each in out.parent.iterdir()) == ["a.pt2", "folder"]

    def fails(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stillhouse.deploy.export.compared", fails)
    with pytest.raises(KeyboardInterrupt):
        list(export_student(finished, "torchscript", tmp_path / "new" / "a.torchscript"))
    assert sorted(each.name for each in out.parent.iterdir()) == ["a.pt2", "folder"]
