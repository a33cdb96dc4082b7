"""Results of benchmarks: JSON under benchmarks/results/, each with its command and its machine."""

import statistics
import sys
from pathlib import Path
from typing import Any

from stillhouse.engine.platform import open_platform
from stillhouse.records.environment import environment
from stillhouse.records.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PICTURES = ROOT / "docs" / "pictures"


def keep(name: str, what: str, *, command: str | None = None, **numbers: Any) -> None:
    """Write results/NAME.json; with the command that was called, or one without its places."""
    if command is None:
        script = Path(sys.argv[0]).resolve().relative_to(ROOT).as_posix()
        command = f"python {script} {' '.join(sys.argv[1:])}".strip()
    where = environment(open_platform(device="auto"))
    write_json(
        RESULTS / f"{name}.json",
        {"command": command, "what": what, **numbers, "environment": where},
    )


def median_ratio(above: list[float], below: list[float]) -> float:
    """Median over rounds of the ratio of two contenders that were timed side by side."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def picture(name: str) -> Path:
    """Where a plot of the docs lives."""
    PICTURES.mkdir(exist_ok=True)
    return PICTURES / f"{name}.png"
