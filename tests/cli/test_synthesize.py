from pathlib import Path

from stillhouse.data import load
from stillhouse.models import build_model
from stillhouse.records.tensors import save_tensors


def test_a_directory_that_recipes_take(command, tmp_path: Path) -> None:
    teacher = build_model("convnet-8-8", classes=4, channels=1)
    save_tensors(tmp_path / "t.safetensors", teacher.state_dict(), {})
    asked = ["synthesize", "t.safetensors", "--model", "convnet-8-8", "--shape", "1,8,8",
             "--classes", "4", "--count", "30", "-o", "made", "--device", "cpu"]  # fmt: skip
    said = command(*asked, "--set", "steps=2", "--set", "betas=[1.0]")
    assert said.code == 0, said.err
    assert "30 images in made" in said.out
    assert len(load(tmp_path / "made", validation=0, test=0).train) == 30
    assert "Report: made/report.html" in said.out
    (tmp_path / "made" / "report.html").unlink()
    said = command("report", "made")
    assert (said.code, said.out.strip()) == (0, "made/report.html")
    page = (tmp_path / "made" / "report.html").read_text(encoding="utf-8")
    assert "Transfer set" in page
    assert "training images" not in page
    again = command(*asked, "--set", "steps=3")
    assert again.code == 2
    assert "holds another synthesis: it differs in settings" in again.err


def test_what_is_asked_wrongly_is_said(command, tmp_path: Path) -> None:
    save_tensors(
        tmp_path / "t.safetensors", build_model("lenet5", classes=10, channels=1).state_dict(), {}
    )
    asked = ["synthesize", "t.safetensors", "--model", "lenet5", "--count", "3", "-o", "made"]
    said = command(*asked, "--shape", "1,30,30")
    assert said.code == 2
    assert not (tmp_path / "made").exists()
    assert "30" in said.err
    said = command(*asked, "--shape", "1x32x32")
    assert said.code == 2
    assert "3,32,32" in said.err
    said = command(*asked, "--shape", "1,32,32", "--method", "zeroshot")
    assert said.code == 2
    assert "nearest: zero_shot" in said.err


def test_training_images_are_shown_beside_those_made(command, tmp_path: Path) -> None:
    teacher = build_model("lenet5", classes=10, channels=1)
    save_tensors(tmp_path / "t.safetensors", teacher.state_dict(), {})
    asked = ["synthesize", "t.safetensors", "--model", "lenet5", "--shape", "1,32,32", "--count",
             "6", "-o", "made", "--device", "cpu", "--method", "noise_uniform"]  # fmt: skip
    said = command(*asked, "--data", "digit")
    assert said.code == 2
    assert not (tmp_path / "made").exists()
    assert command(*asked, "--data", "digits").code == 0
    for _ in range(2):
        page = (tmp_path / "made" / "report.html").read_text(encoding="utf-8")
        assert "training images of any class" in page
        assert command("report", "made").code == 0
    (tmp_path / "made" / "transfer.json").write_text("{")
    said = command("report", "made")
    assert said.code == 2
    assert "transfer.json is damaged" in said.err
