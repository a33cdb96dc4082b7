"""All that is measured on a CUDA card, by one command in less than ten minutes.

    pip install "stillhouse[bench]"
    python benchmarks/gpu.py             # writes benchmarks/results/gpu.json

Checks come first, then steps: eager ones of all pairs, then compiled ones and CUDA graphs, from
bf16 on. A case for which too little time is left, or that cannot run, is listed under ``left_out``
with the reason. ``--toy`` runs all of it on a processor, to see that it works; its numbers mean
nothing, and are written only to the file that ``--out`` names.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, before CUDA begins

import torch

from card import batches, correct, peak, rivals, steps
from card.clock import Budget
from card.forms import FORMS, PRECISIONS, arithmetic
from card.pairs import PAIRS, TOY, Pair
from result_files import keep
from stillhouse.records.files import write_json

LOOPS = "wrn_16_2"
"""Whose whole epochs are measured beside other loops, and on which is checked what must hold."""
CHECKS = {
    "cached is live": correct.cached_is_live,
    "resumed is whole": correct.resumed,
    "fp16 scaler": correct.scaler,
    "peak MiB": correct.memory,
    "waits in three steps": correct.waits,
}


def checks(budget: Budget, pair: Pair, device: torch.device) -> dict[str, Any]:
    """What must hold, on one pair."""
    found = {
        name: budget.spend("check", name, lambda check=check: check(pair, device))
        for name, check in CHECKS.items()
    }
    for form in list(FORMS)[1:]:
        name = f"{form} beside eager"
        found[name] = budget.spend(
            form, name, lambda form=form: correct.form_agrees(pair, device, form)
        )
    return found


def contests(
    budget: Budget, pairs: Sequence[Pair], device: torch.device, how: dict[str, int]
) -> dict[str, Any]:
    """Pair, precision, form: the steps. What matters most comes first."""
    found: dict[str, Any] = {
        pair.name: {each: {} for each in PRECISIONS} for pair in pairs
    }  # fmt: skip
    for form in FORMS:
        for precision in reversed(PRECISIONS):
            for pair in pairs:
                name = f"{pair.name}, {precision}, {form}"
                found[pair.name][precision][form] = budget.spend(
                    form,
                    name,
                    lambda pair=pair, precision=precision, form=form: steps.contest(
                        pair, device, precision, form, **how
                    ),
                )
                torch.compiler.reset()
                print(f"{name}: {_told(found[pair.name][precision][form])}", flush=True)
    return found


def _told(found: dict[str, Any] | None) -> str:
    if found is None:
        return "left out"
    return ", ".join(f"{name} {each['ms']:.3f} ms" for name, each in found.items())


def measured(device: torch.device, pairs: Sequence[Pair], *, seconds: float,
             toy: bool) -> dict[str, Any]:  # fmt: skip
    """Everything, as it goes into the result file."""
    began, budget = time.monotonic(), Budget(seconds)
    how = {"rounds": 1, "steps": 1, "warm": 1} if toy else {"rounds": 7, "steps": 20, "warm": 12}
    loops = next((pair for pair in pairs if pair.name == LOOPS), pairs[0])
    found: dict[str, Any] = {"checks": checks(budget, loops, device)}
    rate = budget.spend("peak", "bf16 peak", lambda: peak.product_rate(device, 64 if toy else 8192))
    found["bf16_product_operations_per_second"] = rate
    found["batches"] = {
        pair.name: budget.spend(
            "batches", f"batches of {pair.name}",
            lambda pair=pair: batches.path(pair, device, **how),
        )
        for pair in pairs
    }  # fmt: skip
    with arithmetic("bf16", device) as platform:
        found["epochs"] = budget.spend(
            "epochs", "whole epochs",
            lambda: rivals.epochs(loops, platform, steps=2 if toy else 40,
                                  rounds=1 if toy else 3, workers=0 if toy else 4),
        )  # fmt: skip
    found["steps"] = contests(budget, pairs, device, how)
    found["share_of_bf16_product"] = {
        pair.name: budget.spend(
            "shares", f"share of {pair.name}",
            lambda pair=pair: peak.shares(pair, found["steps"][pair.name]["bf16"], rate),
        )
        for pair in pairs
    }  # fmt: skip
    return {**found, "left_out": budget.left_out, "seconds": round(time.monotonic() - began, 1)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.5)
    parser.add_argument("--toy", action="store_true", help="all of it, tiny, on the processor")
    parser.add_argument("--out", type=Path, help="another file than benchmarks/results/gpu.json")
    asked = parser.parse_args(arguments)
    if not asked.toy and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA card here; --toy tries all of it on the processor")
    device = torch.device("cpu" if asked.toy else "cuda")
    found = measured(device, TOY if asked.toy else PAIRS, seconds=60 * asked.minutes, toy=asked.toy)
    print("\n".join(f"{name}: {told}" for name, told in found["checks"].items()))
    without = {**found["left_out"], **(found["epochs"] or {}).get("left_out", {})}
    print("\n".join(f"left out: {name} ({why})" for name, why in without.items()))
    what = "steps of a student alone, with a live and with a cached teacher, on a CUDA card"
    if asked.out is not None:
        write_json(asked.out, {"toy": asked.toy, **found})
    elif not asked.toy:
        keep("gpu", what, command=f"python benchmarks/gpu.py {' '.join(sys.argv[1:])}".strip(),
             **found)  # fmt: skip


if __name__ == "__main__":
    main()
