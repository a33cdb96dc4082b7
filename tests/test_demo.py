"""The promise of the README, whole: slow, run by hand before an issue is closed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "digits-kd.yaml"


@pytest.mark.slow
def test_the_demo_ends_with_a_verdict_that_kd_helps(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stillhouse", "run", str(RECIPE), "-o", "runs/demo"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    scores = json.loads((tmp_path / "runs/demo/scores.json").read_text())
    assert scores["verdict"]["seeds"] >= 3
    assert scores["verdict"]["word"] == "helps"
    assert scores["verdict"]["low"] > 0
    assert scores["verdict"]["sentence"].split(":")[0] in said
    assert (tmp_path / "runs/demo/report.html").stat().st_size > 10_000
