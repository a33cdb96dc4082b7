"""Peak memory and seconds of losses over 128,000 classes and over all pairs, in pieces or in one.

    python benchmarks/many_classes.py    # writes benchmarks/results/many_classes.json

Each case runs in fresh processes. Memory is the highest resident set of one forward and backward
above what is resident once the inputs exist; the gradient of the logits is counted. It is taken
twice: with an allocator that gives every tensor back at once, which shows what is alive, and as the
allocator comes, which keeps freed blocks for later. Linux only; the angle in one piece needs 3 GiB.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.engine.platform import open_platform
from stillhouse.functional import cross_entropy, decoupled_kl, kl, numerics, rkd_angle
from stillhouse.records.environment import environment

LOSSES = {loss.__name__: loss for loss in (cross_entropy, kl, decoupled_kl, rkd_angle)}
CASES = [(name, rows, 128_000) for name in list(LOSSES)[:3] for rows in (64, 256)]
CASES += [("rkd_angle", 512, 512)]
FORMS = {"in pieces": numerics.CHUNK, "in one piece": 2**62}
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""For glibc: blocks from 64 KiB on go back to the system when they are freed."""
RESULTS = Path(__file__).parent / "results"


def step_of(name: str, *shape: int) -> Callable[[], Tensor]:
    """Forward and backward of a loss on random inputs; gives the gradient of the student."""
    made = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(shape, generator=made) for _ in range(2))
    label = torch.randint(0, shape[1], shape[:1], generator=made)
    targets = {"cross_entropy": [label], "decoupled_kl": [teacher, label]}.get(name, [teacher])
    loss = partial(LOSSES[name], student.requires_grad_(), *targets)
    return lambda: torch.autograd.grad(loss().mean(), student)[0]


def resident(what: str) -> int:
    """Bytes: VmRSS now, VmHWM at most since it was reset."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("no resident set in /proc/self/status: this benchmark needs Linux")
    return 1024 * int(found[1])


def measure(name: str, rows: int, width: int, form: str, rounds: int) -> dict[str, object]:
    """One run for memory, then some for time (none: 0)."""
    numerics.CHUNK = FORMS[form]
    step_of(name, 8, 16)()  # code and thread pools are loaded
    step = step_of(name, rows, width)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    gradient = step()
    peak = resident("VmHWM") - before
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {
        "resident_mib": round(peak / 2**20, 1),
        "seconds": [round(value, 4) for value in seconds],
        "gradient_norm": gradient.double().norm().item(),
    }


def alone(name: str, rows: int, width: int, form: str, rounds: int) -> dict[str, object]:
    """The measurements, in fresh processes."""

    def run(rounds: int, **changes: str) -> dict[str, Any]:
        case = ["--rounds", str(rounds), "--case", name, str(rows), str(width), form]
        said = subprocess.check_output(
            [sys.executable, __file__, *case], text=True, env={**os.environ, **changes}
        )
        found: dict[str, Any] = json.loads(said)
        return found

    exact, usual = run(0, **GIVES_BACK), run(rounds)
    return {
        "alive_mib": exact["resident_mib"],
        **usual,
        "median_seconds": statistics.median(usual["seconds"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        name, rows, width, form = arguments.case
        print(json.dumps(measure(name, int(rows), int(width), form, arguments.rounds)))
        return
    numbers = {}
    for name, rows, width in CASES:
        title = f"{name} {rows} x {width:,}"
        numbers[title] = {form: alone(name, rows, width, form, arguments.rounds) for form in FORMS}
        for form, found in numbers[title].items():
            print(
                f"{title:<27} {form:<13} {found['alive_mib']:>8,.1f} MiB alive "
                f"{found['resident_mib']:>8,.1f} MiB resident {found['median_seconds']:>8.3f} s"
            )
    result = {
        "command": f"python benchmarks/many_classes.py --rounds {arguments.rounds}",
        "what": "forward and backward of the mean, float32: highest resident set above the inputs "
        "(the gradient counts) with an allocator that gives all back (alive) and as it comes "
        f"(resident), median seconds of {arguments.rounds}; logits of 64 rows are 31.25 MiB",
        "numbers": numbers,
        "environment": environment(open_platform(device="cpu", precision="fp32")),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "many_classes.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
