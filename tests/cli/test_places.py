"""A place that cannot be written to is found before anything is loaded, by every command."""

import os
import tempfile
from pathlib import Path

import pytest

from stillhouse.errors import RunError
from stillhouse.records.writable import check_writable

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
TINY = ("--data", "digits", "--student", "convnet-4-4", "--teacher", "convnet-4-4")
COMMANDS = {
    "distill": ("distill", *TINY, "-o"),
    "compare": ("compare", "kd", *TINY, "-o"),
    "run": ("run", "recipe.yaml", "-o"),
    "run with shared": ("run", "recipe.yaml", "-o", "runs/a", "--shared"),
    "check": ("check", "recipe.yaml", "-o"),
    "check with shared": ("check", "recipe.yaml", "--shared"),
    "check of a study": ("check", RECIPES / "studies" / "digits-students.yaml", "-o"),
    "search": ("search", "recipe.yaml", "--parameters", "50000", "-o"),
    "synthesize": ("synthesize", "teacher.safetensors", "--model", "convnet-4-4", "--shape",
                   "1,8,8", "--count", "4", "-o"),
    "derive": ("derive", "convnet-4-4", "--by", "low_rank", "--ratio", "0.5", "-o"),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS)
def test_every_command_finds_it_first(
    case: str, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stillhouse.models import build_model
    from stillhouse.records.tensors import save_tensors

    (tmp_path / "recipe.yaml").write_text("data: digits\nstudent: convnet-4-4\nmethod: plain\n")
    (tmp_path / "file").write_text("")
    teacher = build_model("convnet-4-4", classes=10, channels=1, size=8)
    save_tensors(tmp_path / "teacher.safetensors", teacher.state_dict(), {})
    monkeypatch.setattr("stillhouse.runs.run.open_data", pytest.fail)
    said = command(*COMMANDS[case], "file/below")
    assert said.code == 2
    assert "file is a file" in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def _refused(number: int):
    def refuse(*_: object, dir: Path, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    ("number", "expected"),
    [(30, "its file system is read-only"), (13, "Permission denied"), (28, "the disk is full")],
)
def test_what_the_system_says_is_told_with_the_place(
    number: int, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the system's word is put in its mouth."""
    monkeypatch.setattr(tempfile, "TemporaryFile", _refused(number))
    with pytest.raises(RunError) as found:
        check_writable(tmp_path / "runs" / "a", "choose another")
    assert str(found.value).startswith(f"{tmp_path}/runs/a cannot be written to: {tmp_path} ")
    assert expected in str(found.value)
    assert str(found.value).endswith("; choose another")


def test_a_name_that_is_too_long_and_one_that_is_not(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="too long a name"):
        check_writable(tmp_path / ("a" * 256) / "b", "choose another")
    before = tmp_path.stat().st_mtime_ns
    check_writable(tmp_path / ("a" * 255) / "b", "choose another")
    assert not list(tmp_path.iterdir())
    assert tmp_path.stat().st_mtime_ns == before, "whoever only asks leaves no trace"
