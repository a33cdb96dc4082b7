"""Kill a run at seeded moments, its first writes among them; the same command then ends the same.

    python benchmarks/faults/kills.py           # writes benchmarks/results/kills.json

Half of the kills fall at a moment of the clock, half right when a file is being put in its place:
the first ones of all are among these. After each the same command is run to its end in a new
process, and its student, control and teacher must have the bits of a run that nobody disturbed.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from result_files import keep

KILLS, SEED = 28, 11
RECIPE = """\
data: {source: digits, limit: 128, views: 1, augment: none}
teacher: mlp-16
student: mlp-8
epochs: 2
seeds: 1
batch: 32
device: cpu
precision: fp32
cache: always
checkpoint_seconds: 0.0
"""
AT_WRITE = """
import os, signal, sys
left, replace = int(sys.argv.pop(1)), os.replace
def killing(*paths):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)
os.replace = killing
from stillhouse.cli import main
main()
"""


def main() -> None:
    choose, results = random.Random(SEED), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tiny.yaml").write_text(RECIPE)
        began = time.monotonic()
        assert command(folder, "whole").wait() == 0
        lasts, right = time.monotonic() - began, products(folder / "whole")
        for number in range(KILLS):
            if number % 2:
                at = choose.uniform(0.1, 1.0) * lasts
                begun = command(folder, "killed")
                try:
                    begun.wait(at)
                except subprocess.TimeoutExpired:
                    begun.send_signal(signal.SIGKILL)
                killed, moment = begun.wait() == -signal.SIGKILL, f"{at / lasts:.2f} of the time"
            else:
                writes = number // 2  # 0: the very first file of all
                begun = command(folder, "killed", writes=writes)
                killed, moment = begun.wait() == -signal.SIGKILL, f"file {writes}"
            again = command(folder, "killed").wait()
            left = [p.name for p in (folder / "killed").rglob("*.part")]
            same = products(folder / "killed") == right
            results.append({"moment": moment, "killed": killed, "exit": again, "same": same,
                            "unfinished_files_left": len(left)})  # fmt: skip
            print(results[-1], flush=True)
            shutil.rmtree(folder / "killed")
    keep(
        "kills",
        "a run that is killed once, and then ended by the same command",
        kills=sum(one["killed"] for one in results),
        trials=KILLS,
        at_first_write=sum(one["killed"] and one["moment"] == "file 0" for one in results),
        ended_with_the_same_bits=sum(one["same"] and one["exit"] == 0 for one in results),
        unfinished_files_left=sum(one["unfinished_files_left"] for one in results),
        trials_one_by_one=results,
    )


def command(folder: Path, place: str, writes: int | None = None) -> "subprocess.Popen[bytes]":
    code = ["-m", "stillhouse"] if writes is None else ["-c", AT_WRITE, str(writes)]
    arguments = ["run", str(folder / "tiny.yaml"), "-o", str(folder / place / "run"), "-q"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *code, *arguments], env=environment,
                            stdout=subprocess.DEVNULL)  # fmt: skip


def products(place: Path) -> dict[str, str]:
    """The bits of every network, and the numbers of the verdict."""
    found = {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
             for path in place.rglob("*.safetensors")}  # fmt: skip
    shards = [key for key in found if "view-" in key]  # their words hold the seconds that they took
    for key in shards:
        del found[key]
    scores = json.loads((place / "run/scores.json").read_text())
    return {**found, "verdict": json.dumps(scores["verdict"]), "shards": str(len(shards))}


if __name__ == "__main__":
    main()
