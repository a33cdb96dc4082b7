"""Forms of the same step: eager float32, compiled float32, eager bf16; what each is worth here.

    python benchmarks/forms.py           # writes benchmarks/results/forms.json

A student alone, batch 64; the first step (compiling included) and the median of the next ones.
"""

import argparse
import statistics
import time

from result_files import keep
from step import BATCH, batches, by_engine
from stillhouse.engine.platform import Precision, open_platform
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import plain
from stillhouse.models import build_model

STUDENTS = ("resnet20", "wrn_16_2", "convnet-8-16-32-128")
FORMS: dict[str, tuple[bool, Precision]] = {
    "eager, float32": (False, "fp32"),
    "compiled, float32": (True, "fp32"),
    "eager, bf16": (False, "bf16"),
}


def measure(student: str, form: str, steps: int) -> dict[str, float]:
    compile, precision = FORMS[form]
    platform = open_platform(device="auto", precision=precision)
    settings = Settings(epochs=10_000, compile=compile)
    with training(
        plain(build_model(student, classes=100)), batches(), settings, platform
    ) as trainer:
        block = by_engine(trainer)
        began = time.perf_counter()
        block(1)
        first = time.perf_counter() - began
        seconds = []
        for _ in range(steps):
            began = time.perf_counter()
            block(1)
            seconds.append(time.perf_counter() - began)
    rate = BATCH / statistics.median(seconds)
    return {"images_per_second": round(rate, 1), "first_step_seconds": round(first, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for student in STUDENTS:
        for form in FORMS:
            found.setdefault(student, {})[form] = measure(student, form, arguments.steps)
            print(f"{student:<22} {form:<18} {found[student][form]}", flush=True)
    keep(
        "forms", f"a student alone, batch {BATCH}, medians of {arguments.steps} steps", forms=found
    )


if __name__ == "__main__":
    main()
