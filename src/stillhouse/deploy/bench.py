"""What a student costs in each runtime: time of an answer, images a second, memory, file."""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from stillhouse.deploy.int8_onnx import Target
from stillhouse.deploy.kept_rows import rows_of
from stillhouse.deploy.onnx import Parity
from stillhouse.deploy.peak_memory import COMPILED as COMPILED_FOLDER
from stillhouse.deploy.peak_memory import FILE, FOLDER, PeakMemory, peak_memory
from stillhouse.deploy.predictor import Predictor
from stillhouse.deploy.runtimes import COMPILED, INT8, ONNX, RUNTIMES, TORCH, Opened, Opener
from stillhouse.errors import RecipeError

BATCHES = (1, 64)
"""One image, as a product answers, and a batch, as a service does."""
WARM = 5
"""Answers of each runtime and batch before any is timed."""
LEAST, MOST = 5, 200
"""Answers that are timed of each, whatever the time."""
SECONDS = 2.0
"""After so long for each runtime and batch, no further round begins."""
KINDS = {TORCH: FOLDER, COMPILED: COMPILED_FOLDER, ONNX: FILE, INT8: FILE}


@dataclass(frozen=True)
class Latency:
    """The time of an answer, in milliseconds.

    Args:
        median: of all that were timed.
        low, high: their quartiles.
        answers: how many were timed.
    """

    median: float
    low: float
    high: float
    answers: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        """Of at least two times.

        >>> Latency.of([0.001, 0.002, 0.003])
        Latency(median=2.0, low=1.5, high=2.5, answers=3)
        """
        found = statistics.quantiles(seconds, n=4, method="inclusive")
        low, median, high = (round(1000 * each, 4) for each in found)
        return cls(median, low, high, len(seconds))

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class RuntimeCosts:
    """What a student costs in one runtime.

    Args:
        runtime: its name of `RUNTIMES`.
        why: it could not be measured; the rest is then empty.
        latency: by batch size.
        throughput: images a second in the largest batch.
        memory: of a process that answers it; None where that is not known.
        file_bytes: of what it reads: weights, program or ONNX.
        parity: its answers beside those of torch.
    """

    runtime: str
    why: str | None = None
    latency: Mapping[int, Latency] | None = None
    throughput: float | None = None
    memory: PeakMemory | None = None
    file_bytes: int | None = None
    parity: Parity | None = None


@dataclass(frozen=True)
class Bench:
    """What a student costs, and where that was measured.

    Args:
        model: of the student.
        parameters: that it has.
        image: channels, height and width of what it takes.
        conditions: processor, threads and versions.
        runtimes: in the order that was asked for.
    """

    model: str
    parameters: int
    image: tuple[int, int, int]
    conditions: Mapping[str, Any]
    runtimes: tuple[RuntimeCosts, ...]

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def bench(
    run: str | Path,
    *,
    runtimes: Sequence[str] = tuple(RUNTIMES),
    threads: int = 1,
    batches: Sequence[int] = BATCHES,
    seconds: float = SECONDS,
    target: Target = "x86",
    allow_program: bool = False,
) -> Bench:
    """Measure the student of a run in several runtimes on this processor, side by side.

    Runtimes answer in turns, in one order and then in the other, so that what else the machine does
    meets them alike. Each answers once untimed before it is timed. Files of ONNX beside the run are
    taken, others are exported to a folder that is gone afterwards. Memory is that of one process
    for each runtime, which loads the student and answers the largest batch. Preprocessing is part
    of all: pixels go in.

    Args:
        run: a finished run, or a student's folder.
        runtimes: names of `RUNTIMES`.
        threads: that each uses.
        batches: images at once.
        seconds: for each runtime and batch; between 5 and 200 answers are timed.
        target: of an int8 file that is exported.
        allow_program: see `stillhouse.deploy.predictor.Predictor`.

    Raises:
        RecipeError: no such runtime, no batch, or a number below 1.
        RunError, ModelError: there is no student, or it cannot be built.
    """
    _check(runtimes, threads, batches)
    predictor = Predictor(run, allow_program=allow_program)
    rows, _ = rows_of(Path(run), predictor)
    images = [_filled(rows, batch) for batch in batches]
    opener = Opener(Path(run), predictor, images, threads, target, allow_program)
    with opener.all(runtimes) as opened, tempfile.TemporaryDirectory() as folder:
        there = {name: each for name, each in opened.items() if isinstance(each, Opened)}
        times = {batch: _timed(there, image, seconds) for batch, image in zip(batches, images)}  # noqa: B905
        largest = max(range(len(batches)), key=lambda at: batches[at])
        numpy.save(Path(folder) / "rows.npy", images[largest].numpy())
        found = [
            _costs(
                name,
                each,
                {batch: times[batch][name] for batch in batches},
                Parity.of(
                    each.answers(rows),
                    predictor.outputs(rows),
                    classes=predictor.config.output == "logits",
                ),
                peak_memory(
                    KINDS[name],
                    each.file if KINDS[name] == FILE else predictor.folder,
                    Path(folder) / "rows.npy",
                    threads=threads,
                    allow_program=allow_program,
                ),
            )
            if isinstance(each, Opened)
            else RuntimeCosts(name, why=each)
            for name, each in opened.items()
        ]
    facts, taken = predictor.config.network, predictor.preprocess
    return Bench(
        facts.model,
        facts.parameters,
        (taken.channels, taken.height, taken.width),
        _conditions(threads),
        tuple(found),
    )


def _costs(
    name: str,
    opened: Opened,
    latency: Mapping[int, Latency],
    parity: Parity,
    memory: PeakMemory | None,
) -> RuntimeCosts:
    largest = max(latency)
    return RuntimeCosts(
        runtime=name,
        latency=latency,
        throughput=round(1000 * largest / latency[largest].median, 1),
        memory=memory,
        file_bytes=opened.bytes,
        parity=parity,
    )


def _timed(opened: Mapping[str, Opened], image: Tensor, seconds: float) -> dict[str, Latency]:
    """Of each runtime at one batch; they answer in turns."""
    spent: dict[str, list[float]] = {name: [] for name in opened}
    for each in opened.values():
        for _ in range(WARM):
            each.answers(image)
    began, names = time.perf_counter(), list(opened)
    for turn in range(MOST):
        if turn >= LEAST and time.perf_counter() - began > seconds * len(names):
            break
        for name in names if turn % 2 else reversed(names):  # none is always the one after
            answers = opened[name].answers
            answers(image)  # caches and threads are those of this runtime again
            start = time.perf_counter()
            answers(image)
            spent[name].append(time.perf_counter() - start)
    return {name: Latency.of(each) for name, each in spent.items()}


def _filled(rows: Tensor, count: int) -> Tensor:
    """So many rows: the first, and again from the beginning where there are too few."""
    return rows[torch.arange(count) % len(rows)].contiguous()


def _check(runtimes: Sequence[str], threads: int, batches: Sequence[int]) -> None:
    problems = [
        f"no runtime '{name}'; there is: {', '.join(RUNTIMES)}"
        for name in runtimes
        if name not in RUNTIMES
    ]
    if not runtimes:
        problems.append(f"no runtime is asked for; there is: {', '.join(RUNTIMES)}")
    if not batches or min(batches) < 1:
        problems.append(f"batches are {list(batches)}; give whole numbers from 1 on, such as 1, 64")
    if threads < 1:
        problems.append(f"threads is {threads}; give a whole number from 1 on")
    if problems:
        raise RecipeError("bench", problems)


def _conditions(threads: int) -> dict[str, Any]:
    """What a time depends on beside the student."""
    told: dict[str, Any] = {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "threads": threads,
        "torch": torch.__version__,
    }
    try:
        return {**told, "onnxruntime": version("onnxruntime")}
    except PackageNotFoundError:
        return told


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
