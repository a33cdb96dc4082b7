"""What eight bits cost and bring in onnxruntime: float, quantised after training, trained in int8.

    python benchmarks/int8_students.py            # about two minutes on a quiet machine

One network under one teacher, trained in float and in int8 (recipes/digits-int8.yaml for fewer
epochs), each seed in a run of its own so that each has a folder to export. Accuracy is that of
onnxruntime on the whole test set; times are medians of answers in turns, on one thread.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import stillhouse as sh
from result_files import ROOT
from stillhouse.data.load import load
from stillhouse.deploy.export import export_student
from stillhouse.deploy.onnx import session_of

SEEDS, EPOCHS = (0, 1, 2), 10
STUDENT, TEACHER = "convnet-16-32-64", "resnet20"
BATCHES = (1, 64)
TURNS = 200
RESULT = ROOT / "benchmarks" / "results" / "int8-students.json"
KINDS = (
    ("float", None, {}),
    ("int8 after training", None, {"int8": True, "target": "vnni"}),
    ("int8 after training, for x86", None, {"int8": True, "target": "x86"}),
    ("trained in int8", "int8", {"int8": True, "target": "vnni"}),
    ("trained in int8, for x86", "int8", {"int8": True, "target": "x86"}),
)
"""Name, how the student is trained, how it is exported."""


def trained(seed: int, quantise: str | None, out: Path) -> Path:
    """A run of one seed."""
    student = {"model": STUDENT, **({} if quantise is None else {"quantise": quantise})}
    folder = out / f"{quantise or 'float'}-{seed}"
    sh.distill(
        data="digits",
        student=student,
        teacher=TEACHER,
        out=folder,
        shared=out / "shared",
        epochs=EPOCHS,
        seeds=[seed],
        precision="fp32",
    )
    return folder


def measured(out: Path) -> list[dict[str, Any]]:
    """All kinds: accuracy of each seed, and size, kernels and times of the first."""
    test = load("digits").test
    pixels = test.images.permute(0, 3, 1, 2).contiguous()
    found: list[dict[str, Any]] = []
    sessions: list[Any] = []
    for name, quantise, how in KINDS:
        accuracies = []
        for seed in SEEDS:
            run = trained(seed, quantise, out)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "student.onnx"
                said = list(export_student(run, "onnx", file, allow_program=True, **how))
                session = session_of(file, threads=1)
                size = file.stat().st_size
            given = session.get_inputs()[0].name
            (logits,) = session.run(None, {given: pixels.numpy()})
            right = torch.from_numpy(logits).argmax(1) == test.labels
            accuracies.append(float(right.float().mean()))
            if seed == SEEDS[0]:
                sessions.append(session)
                found.append({"name": name, "bytes": size, "said": said[1:]})
        found[-1]["accuracy"] = accuracies
    for batch in BATCHES:
        for each, times in zip(found, timed(sessions, pixels[:batch].numpy()), strict=True):
            each[f"ms_{batch}"] = round(1000 * statistics.median(times), 4)
    return found


def timed(sessions: list[Any], rows: Any) -> list[list[float]]:
    """Seconds of answers; sessions answer in turns, in one order and in the other."""
    spent: list[list[float]] = [[] for _ in sessions]
    for turn in range(TURNS):
        order = range(len(sessions))
        for at in order if turn % 2 else reversed(order):
            session = sessions[at]
            given = {session.get_inputs()[0].name: rows}
            session.run(None, given)
            began = time.perf_counter()
            session.run(None, given)
            spent[at].append(time.perf_counter() - began)
    return spent


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            vnni = "vnni" in Path("/proc/cpuinfo").read_text()
            return f"{line.partition(':')[2].strip()} ({'with' if vnni else 'without'} VNNI)"
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "int8-students")
    out = parser.parse_args().out
    result = {
        "command": "python benchmarks/int8_students.py",
        "what": f"{STUDENT} under {TEACHER} on digits, {EPOCHS} epochs, seeds {list(SEEDS)}",
        "processor": processor(),
        "threads": 1,
        "versions": {name: version(name) for name in ("torch", "onnxruntime")},
        "students": measured(out),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
