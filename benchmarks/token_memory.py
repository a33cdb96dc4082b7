"""Memory and seconds of token-level distillation over 131,072 tokens, in pieces or in one.

    python benchmarks/token_memory.py    # writes benchmarks/results/token_memory.json

Each case runs in a process of its own. Memory is the highest resident set of one forward and
backward above what is resident once the logits of both models exist; the gradient of the student's
logits, which any loss has to give, is counted. Linux only.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

from result_files import keep
from stillhouse.functional import numerics
from stillhouse.functional.tokens import token_divergence

VOCABULARY, ROWS, LENGTH = 131_072, 2, 65
FORMS = {"in pieces": numerics.CHUNK, "in one piece": 2**62}
KINDS = ("forward_kl", "reverse_kl", "jsd")
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""For glibc: blocks from 64 KiB on go back to the system when they are freed."""


def resident(what: str) -> int:
    """Bytes: VmRSS now, VmHWM at most since it was reset."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("no resident set in /proc/self/status: this benchmark needs Linux")
    return 1024 * int(found[1])


def measure(kind: str, form: str) -> dict[str, float]:
    """One forward and backward."""
    numerics.CHUNK = FORMS[form]
    made = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(ROWS, LENGTH, VOCABULARY, generator=made) for _ in range(2))
    label = torch.randint(0, VOCABULARY, (ROWS, LENGTH), generator=made)
    student.requires_grad_()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    began = time.perf_counter()
    loss = token_divergence(student, teacher, label, kind=kind).mean()
    (gradient,) = torch.autograd.grad(loss, student)
    seconds = time.perf_counter() - began
    return {
        "peak_mib": round((resident("VmHWM") - before) / 2**20, 1),
        "seconds": round(seconds, 2),
        "loss": float(loss.detach()),
        "gradient_norm": float(gradient.norm()),
    }


def main() -> None:
    """Measure all cases, each in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs=2)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(*arguments.case)))
        return
    numbers: dict[str, dict[str, dict[str, float]]] = {}
    for kind in KINDS:
        numbers[kind] = {}
        for form in FORMS:
            command = [sys.executable, __file__, "--case", kind, form]
            done = subprocess.run(
                command, env={**os.environ, **GIVES_BACK}, check=True, capture_output=True
            )
            numbers[kind][form] = json.loads(done.stdout)
            print(kind, form, numbers[kind][form])
    logits = ROWS * LENGTH * VOCABULARY * 4 / 2**20
    keep(
        "token_memory",
        f"forward and backward of token_divergence, float32 logits [{ROWS}, {LENGTH}, "
        f"{VOCABULARY:,}] ({logits:.0f} MiB each): highest resident set above both logits, the "
        "gradient of the student's counted",
        logits_mib=round(logits, 1),
        numbers=numbers,
    )


if __name__ == "__main__":
    main()
