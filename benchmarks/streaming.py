"""A folder of images larger than memory should hold: seconds and peak memory of reading it.

    python benchmarks/streaming.py          # writes benchmarks/results/streaming.json

Makes class folders of small JPEG files (64 x 64), few and many, loads each twice and reads one
training epoch by loader processes. Decoded, 200,000 of them are above the 2 GiB that are kept in
memory; for the smaller folders the bound is lowered to 128 MiB, so that all of them are read from
disk and differ in nothing but the number of files.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from result_files import keep
from stillhouse.data import Augment, Batches, load
from stillhouse.data.sources import pictures
from stillhouse.data.tables import SampleTable

SIDE, CLASSES, KINDS = 64, 100, 500
IN_MEMORY = 128 << 20
"""Bytes of decoded images up to which they would be kept in memory here."""
MEBI = 1024.0
"""Kibibytes, in which the system counts, to mebibytes."""


def make(folder: Path, count: int) -> None:
    """So many files, a number of pictures again and again."""
    drawn = np.random.default_rng(0)
    encoded = []
    for _ in range(KINDS):
        coarse = drawn.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(coarse).resize((SIDE, SIDE)).save(out, "JPEG")
        encoded.append(out.getvalue())
    for number in range(CLASSES):
        (folder / f"c{number}").mkdir()
    for row in range(count):
        (folder / f"c{row % CLASSES}" / f"{row}.jpg").write_bytes(encoded[row % KINDS])


def peak() -> float:
    """Of this process alone; what getrusage tells begins with the peak of its parent."""
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(told.split("VmHWM:")[1].split()[0]) / MEBI, 1)


def read(folder: Path, workers: int, epochs: int) -> dict[str, float]:
    """Load and read in this process; MiB and seconds."""
    pictures.IN_MEMORY = IN_MEMORY
    before = peak()
    began = time.perf_counter()
    splits = load(folder)
    loaded, after = time.perf_counter() - began, peak()
    if not isinstance(splits.train, SampleTable):
        raise TypeError("the images were decoded into memory: make more of them")
    data = Batches(splits.train, Augment((0.5,) * 3, (0.25,) * 3, crop=4, flip=True),
                   batch_size=128, workers=workers)  # fmt: skip
    began, images = time.perf_counter(), 0
    for epoch in range(epochs):
        for batch in data.epoch(epoch):
            images += len(batch["batch.image"])
    seconds = time.perf_counter() - began
    return {
        "seconds_to_load": round(loaded, 1),
        "images_per_second": round(images / seconds, 1),
        "peak_mib_before_load": before,
        "peak_mib_after_load": after,
        "peak_mib": peak(),
        "peak_mib_of_a_loader": round(
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / MEBI, 1
        ),
    }


def measure(count: int, workers: int) -> dict[str, Any]:
    """One folder, in processes of their own: 'again' finds the hashes of its files remembered."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        folder.mkdir()
        make(folder, count)
        size = sum(path.stat().st_size for path in folder.rglob("*.jpg"))
        found["mebibytes_on_disk"] = round(size / MEBI**2, 1)
        found["mebibytes_decoded"] = round(count * SIDE * SIDE * 3 / MEBI**2, 1)
        for name in ("first", "again"):
            case = [str(folder), str(workers), "1"]
            done = subprocess.run([sys.executable, __file__, "--case", *case],
                                  capture_output=True, text=True, check=True)  # fmt: skip
            found[name] = json.loads(done.stdout)
            print(count, name, found[name], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        folder, workers, epochs = arguments.case
        print(json.dumps(read(Path(folder), int(workers), int(epochs))))
        return
    busy = [os.getloadavg()[1]]
    found = {}
    for count in arguments.files:
        found[f"{count:,} files"] = measure(count, arguments.workers)
        busy.append(os.getloadavg()[1])
    keep(
        "streaming",
        f"JPEG files of {SIDE} x {SIDE} in {CLASSES} class folders, {arguments.workers} loaders; "
        "'again' finds the hashes of the files remembered; memory is the peak of the process, in "
        "MiB; processes that ran or waited on average, before and after each folder, say how busy "
        "the machine was",
        runs=found,
        load_averages=[round(value, 2) for value in busy],
    )


if __name__ == "__main__":
    main()
