"""A run on a disk that is too small, at six sizes; then the same command once there is room.

    python benchmarks/faults/disk_sizes.py        # minutes

As root each size is a file system in memory (tmpfs) that grows afterwards; for others it is the
size that a file may have (RLIMIT_FSIZE). Each run must end with exit code 2 and one sentence, and
the same command must then end with the bits of a run that was never short.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from result_files import keep

SHARES = (0.001, 0.005, 0.01, 0.02, 0.3, 0.97)
"""Sizes, as parts of what the whole run takes (of its largest file, without root)."""
AMPLE = 1 << 30
RUN = (
    "distill", "--data", "digits", "--limit", "200", "--teacher", "convnet-16-32",
    "--student", "convnet-8-16", "--epochs", "2", "--batch", "50", "--seeds", "1", "--quiet",
    "--set", "checkpoint_seconds=0",
)  # fmt: skip
PRODUCTS = ("student.safetensors", "student-best.safetensors")


def run(folder: Path, largest: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command, whose files may be so large."""

    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "stillhouse", *RUN, "-o", str(folder / "runs" / "one")]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)


@contextlib.contextmanager
def disk(size: int) -> Iterator[tuple[Path, Callable[[], object]]]:
    """A folder of so many bytes, and what makes it ample."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        subprocess.run(mount, check=True)
        larger = ["mount", "-o", f"remount,size={AMPLE}", folder]
        try:
            yield Path(folder), lambda: subprocess.run(larger, check=True)
        finally:
            subprocess.run(["umount", folder], check=True)


def products(folder: Path) -> dict[str, Any]:
    """What a run must end with, whatever happened on the way."""
    out = folder / "runs" / "one"
    verdict = json.loads((out / "scores.json").read_text())["verdict"]["sentence"]
    return {"verdict": verdict, **{name: (out / name).read_bytes() for name in PRODUCTS}}


def whole() -> tuple[dict[str, Any], int, int]:
    """A run with room: its products, the bytes of all its files, and of its largest."""
    with tempfile.TemporaryDirectory() as folder:
        done = run(Path(folder))
        if done.returncode:
            raise SystemExit(f"the run fails by itself: {done.stderr}")
        sizes = [each.stat().st_size for each in Path(folder).rglob("*") if each.is_file()]
        return products(Path(folder)), sum(sizes), max(sizes)


def attempt(size: int, wanted: dict[str, Any], *, root: bool) -> dict[str, Any]:
    """One size: how the run ended, and whether the same command then ended as it should."""
    with contextlib.ExitStack() as opened:
        if root:
            folder, grow = opened.enter_context(disk(size))
            short = run(folder)
            grow()
        else:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            short = run(folder, size)
        again = run(folder)
        left = [each.name for each in folder.rglob("*.part")]
        told = [line for line in short.stderr.splitlines() if line.strip()]
        return {
            "bytes": size,
            "exit_code": short.returncode,
            "told": [line.replace(str(folder), "DISK") for line in told],
            "one_sentence": len(told) == 1 and told[0].startswith("stillhouse: "),
            "goes_on": again.returncode == 0,
            "same_result": again.returncode == 0 and products(folder) == wanted,
            "unfinished_files_left": len(left),
        }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    root = os.geteuid() == 0
    wanted, bytes_in_all, largest = whole()
    sizes = []
    for share in SHARES:
        sizes.append(attempt(int(share * (bytes_in_all if root else largest)), wanted, root=root))
        print(sizes[-1], flush=True)
    counts = {
        "sizes": len(sizes),
        "ended_with_exit_code_2_and_one_sentence": sum(
            each["exit_code"] == 2 and each["one_sentence"] for each in sizes
        ),
        "then_ended_with_the_same_result": sum(each["same_result"] for each in sizes),
        "unfinished_files_left": sum(each["unfinished_files_left"] for each in sizes),
    }
    by = "a file system of that size" if root else "files of at most that size"
    what = f"a run on a disk that is too small ({by}), then the same command with room"
    keep("disk_sizes", what, bytes_of_a_whole_run=bytes_in_all, counts=counts, runs=sizes)
    print(counts)


if __name__ == "__main__":
    main()
