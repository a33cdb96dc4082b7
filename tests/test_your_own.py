"""docs/your-own.md does what it says: its code passes the contract and runs by its place."""

import re
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "your-own.md"
SMALL = ["--set", "data.limit=128", "--set", "precision=fp32", "--set", "compile=false"]


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The page's code, the first block as mine.py in the working directory."""
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    (tmp_path / "mine.py").write_text(found[0])
    return found


def test_its_loss_and_its_method_keep_the_contract(blocks: list[str]) -> None:
    exec(compile(blocks[1], "your-own.md", "exec"), {})


def test_its_commands_run(blocks: list[str], tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from stillhouse.cli.app import app

    lines = re.findall(r"^stillhouse (.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        words = line.replace("resnet20", "convnet-8").replace("convnet-8-16", "convnet-4").split()
        words += ["--seeds", "1", "--epochs", "1", *SMALL]
        if words[0] == "compare":
            words.append("--check")
        said = CliRunner().invoke(app, words)
        assert said.exit_code == 0, said.output
    assert (tmp_path / "runs/mine/report.html").is_file()
