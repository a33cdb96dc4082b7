"""Memory and seconds of token-level distillation from hidden states: logits whole, or never whole.

    python benchmarks/token_heads_memory.py    # writes benchmarks/results/token_heads_memory.json

Both cases begin with the hidden states and the heads of two models over 131,072 tokens and end with
the gradients of the student's hidden states and of its head. Each runs in a process of its own.
Memory is the highest resident set above what is resident before any logits. Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from result_files import keep
from stillhouse.functional.token_heads import hidden_token_divergence
from stillhouse.functional.tokens import token_divergence
from token_memory import GIVES_BACK, VOCABULARY, resident

ROWS, LENGTH = 2, 513
WIDTHS = 64, 128
"""Of student and teacher."""
FORMS = ("whole", "pieces")


def measure(form: str) -> dict[str, float]:
    """One forward and backward of the forward KL."""
    made = torch.Generator().manual_seed(0)
    states = [torch.randn(ROWS, LENGTH, width, generator=made) for width in WIDTHS]
    heads = [torch.randn(VOCABULARY, width, generator=made) / width**0.5 for width in WIDTHS]
    label = torch.randint(0, VOCABULARY, (ROWS, LENGTH), generator=made)
    learns = [states[0].requires_grad_(), heads[0].requires_grad_()]
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    began = time.perf_counter()
    if form == "whole":
        mine = states[0] @ heads[0].mT
        with torch.no_grad():
            theirs = states[1] @ heads[1].mT
        loss = token_divergence(mine, theirs, label).mean()
    else:
        loss = hidden_token_divergence(states[0], heads[0], states[1], heads[1], label).mean()
    slopes = torch.autograd.grad(loss, learns)
    seconds = time.perf_counter() - began
    return {
        "peak_mib": round((resident("VmHWM") - before) / 2**20, 1),
        "seconds": round(seconds, 2),
        "loss": float(loss.detach()),
        "gradient_norms": [float(each.norm()) for each in slopes],
    }


def main() -> None:
    """Measure both forms, each in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case)))
        return
    numbers = {}
    for form in FORMS:
        done = subprocess.run(
            [sys.executable, __file__, "--case", form],
            env={**os.environ, **GIVES_BACK},
            check=True,
            capture_output=True,
        )
        numbers[form] = json.loads(done.stdout)
        print(form, numbers[form])
    keep(
        "token_heads_memory",
        f"forward and backward of the forward KL from hidden states [{ROWS}, {LENGTH}, D] and "
        f"heads [{VOCABULARY:,}, D], D = {WIDTHS[0]} and {WIDTHS[1]}: highest resident set above "
        "both, the gradients of the student's counted",
        logits_mib=round(ROWS * LENGTH * VOCABULARY * 4 / 2**20, 1),
        gradient_of_head_mib=round(VOCABULARY * WIDTHS[0] * 4 / 2**20, 1),
        numbers=numbers,
    )


if __name__ == "__main__":
    main()
