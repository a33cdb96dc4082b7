"""A run that is killed again and again, in whatever stage, ends like one left alone."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

LIVES = 7
ARGUMENTS = (
    *("distill", "--data", "digits", "--teacher", "convnet-8-16", "--student", "convnet-4-8"),
    *("--epochs", "15", "--batch", "32", "--seeds", "2", "--set", "checkpoint_seconds=0.05"),
)


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "stillhouse", *ARGUMENTS, "-o", "runs/one"]
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)


def kill_after_a_checkpoint(run: subprocess.Popen[bytes], folder: Path, more: float) -> bool:
    """Kill it soon after it wrote a checkpoint of whatever stage; False when it ended before."""
    began = time.time()
    while run.poll() is None:
        if any(p.stat().st_mtime > began for p in folder.rglob("checkpoint.pt")):
            time.sleep(more)
            run.send_signal(signal.SIGKILL)
            run.wait()
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
def test_a_run_that_is_killed_many_times_ends_with_the_same_student(tmp_path: Path) -> None:
    assert start(tmp_path / "whole").wait() == 0
    choose, kills = random.Random(1), 0
    for _ in range(LIVES):
        run = start(tmp_path / "killed")
        kills += kill_after_a_checkpoint(run, tmp_path / "killed", choose.random())
    assert start(tmp_path / "killed").wait() == 0
    assert kills >= LIVES - 1, "it was hardly disturbed: give it more epochs"
    for name in ("student.safetensors", "student-best.safetensors"):
        mine = load_file(tmp_path / "killed/runs/one" / name)
        theirs = load_file(tmp_path / "whole/runs/one" / name)
        assert all(torch.equal(mine[key], value) for key, value in theirs.items())
    scores = [
        json.loads((tmp_path / which / "runs/one/scores.json").read_text())
        for which in ("killed", "whole")
    ]
    assert scores[0]["verdict"] == scores[1]["verdict"]
