"""Runs by two processes of each launcher, and one of which a process is killed.

    python benchmarks/several_processes.py      # writes benchmarks/results/several-processes.json

The network has no batch norm, whose statistics are those of a part. Weights of the student are
compared with those of one process: the same batch, and the same images of a step in two halves
(``accumulate: 2``). Then a process is killed with SIGKILL amid the student, and the same command
is given again; its weights are compared with those of two processes that nobody killed.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

from result_files import keep

NETWORK = """
from torch import nn

def net(classes, channels):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 2), nn.ReLU(),
        nn.Flatten(), nn.Linear(64, classes))
"""
RECIPE: dict[str, Any] = {
    "data": {"source": "digits", "limit": 512},
    "teacher": {"model": "python:mine:net", "epochs": 2},
    "student": {"model": "python:mine:net"},
    "control": False,
    "method": "kd",
    "epochs": 12,
    "batch": 64,
    "seeds": 1,
    "precision": "fp32",
    "cache": "never",
    "compile": False,
    "checkpoint_seconds": 0.2,
    "device": "cpu",
}
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
ACCELERATE = (
    *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--main_process_port", "0"),
)
LAUNCHERS: dict[str, tuple[str, ...]] = {
    "one process": (),
    "one process, two halves of a batch": (),
    "torchrun": TORCHRUN,
    "accelerate launch": ACCELERATE,
}
LONGEST = 900


class Bench:
    """Commands in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "mine.py").write_text(NETWORK)
        halves = {**RECIPE, "batch": 32, "accumulate": 2}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
        (folder / "halves.yaml").write_text(yaml.safe_dump(halves))

    def start(self, launcher: tuple[str, ...], name: str, recipe: str) -> subprocess.Popen[str]:
        """The command, through its launcher, with a log."""
        module = ("-m", "stillhouse")
        call = [sys.executable, *launcher, *module, "run", recipe, "-o", f"{name}/run"]
        log = (self.folder / f"{name}.log").open("a")
        return subprocess.Popen(
            [*call, "--allow-imports"], cwd=self.folder, stdout=log, stderr=log, text=True
        )

    def student(self, name: str) -> dict[str, torch.Tensor]:
        """The weights of a student."""
        return load_file(self.folder / name / "run/trainings/seed0/student.safetensors")

    def sentence(self, name: str) -> str:
        """What the command has said of itself, the last time."""
        lines = (self.folder / f"{name}.log").read_text().splitlines()
        told = [line for line in lines if line.startswith("stillhouse:")]
        return told[-1].removeprefix("stillhouse: ") if told else ""


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of a weight, as a share of the largest weight of its tensor."""
    shares = [((one[k] - other[k]).abs().max() / one[k].abs().max()).item() for k in one]
    return max(shares)


def processes_of(launcher: int) -> list[int]:
    """The processes that a launcher has started, oldest first."""
    found = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    commands = {int(n): Path(f"/proc/{n}/cmdline").read_text() for n in found}
    return sorted(number for number, command in commands.items() if "stillhouse" in command)


def kill_one(bench: Bench, launcher: tuple[str, ...], name: str) -> dict[str, Any]:
    """Kill the second process amid the student; then the same command."""
    process = bench.start(launcher, name, "recipe.yaml")
    checkpoint = bench.folder / name / "run/trainings/seed0/checkpoint.pt"
    until = time.monotonic() + LONGEST
    while not checkpoint.exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    os.kill(processes_of(process.pid)[-1], signal.SIGKILL)
    began = time.perf_counter()
    code = process.wait(LONGEST)
    seconds = round(time.perf_counter() - began, 1)
    told, there = bench.sentence(name), checkpoint.exists()
    again = bench.start(launcher, name, "recipe.yaml").wait(LONGEST)
    return {
        "exit": code, "seconds until it ended": seconds, "told": told,
        "checkpoint": there, "exit of the same command": again,
    }  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        rows, known = [], {}
        for position, (what, launcher) in enumerate(LAUNCHERS.items()):
            recipe = "halves.yaml" if "halves" in what else "recipe.yaml"
            code = bench.start(launcher, f"case{position}", recipe).wait(LONGEST)
            if code:
                print((bench.folder / f"case{position}.log").read_text()[-3000:])
            known[what] = bench.student(f"case{position}")
            far = apart(known["one process"], known[what])
            rows.append({"what": what, "exit": code, "largest difference": far})
            print(rows[-1], flush=True)
        for what, launcher in list(LAUNCHERS.items())[2:]:
            killed = f"killed-{what.split()[0]}"
            found = {"what": what, **kill_one(bench, launcher, killed)}
            found["bit-equal"] = all(
                torch.equal(value, known[what][key]) for key, value in bench.student(killed).items()
            )
            rows.append(found)
            print(found, flush=True)
            print((bench.folder / f"{killed}.log").read_text()[-1500:], flush=True)
    keep(
        "several-processes",
        "a run of kd on digits by two processes, beside one; one of two killed amid the student",
        processes=rows,
    )


if __name__ == "__main__":
    main()
