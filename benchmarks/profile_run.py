"""Where the seconds of a small run and of a study of twelve arms go, by part.

    python benchmarks/profile_run.py         # writes benchmarks/results/profile.json

`make demo` with the shortest budget that still is one, and twelve arms of one epoch: CPU seconds of
this process (one thread), so that a busy machine says little else than a quiet one. Imports are
those of a fresh process.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from result_files import ROOT, keep

PARTS: dict[str, list[str]] = {
    "recipe and data": ["stillhouse.runs.run.open_data"],
    "checks": ["stillhouse.runs.run.check"],
    "forecast": ["stillhouse.runs.run.forecast_of"],
    "training, validation included": ["stillhouse.runs.training.stage_run.StageRun._fit"],
    "scores of all tables": [
        "stillhouse.runs.run.score_student",
        "stillhouse.runs.run.score_teacher",
        "stillhouse.runs.run.describe_run",
    ],
    "costs of the networks": ["stillhouse.runs.run.write_costs"],
    "the program (torch.export)": ["stillhouse.deploy.folder.write_program"],
    "report": ["stillhouse.report.write_report", "stillhouse.report.page.write_report"],
}


def timed(spent: dict[str, float]) -> None:
    """Let each of these functions say what it took; what runs inside another counts once."""
    running: list[str] = []
    for part, places in PARTS.items():
        spent.setdefault(part, 0.0)
        for place in places:
            owner, name = _owner(place)
            whole = getattr(owner, name, None)
            if whole is not None:
                setattr(owner, name, _timing(whole, part, spent, running))


def _owner(place: str) -> tuple[Any, str]:
    path, _, name = place.rpartition(".")
    try:
        return __import__(path, fromlist=["_"]), name
    except ImportError:
        module, _, kind = path.rpartition(".")
        return getattr(__import__(module, fromlist=["_"]), kind), name


def _timing(
    whole: Callable[..., Any], part: str, spent: dict[str, float], running: list[str]
) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        if running:
            return whole(*args, **named)
        running.append(part)
        began = time.process_time()
        try:
            return whole(*args, **named)
        finally:
            spent[part] += time.process_time() - began
            running.pop()

    return call


def demo(out: Path) -> None:
    from stillhouse.recipes import load_recipe
    from stillhouse.runs.run import prepare, run

    run(prepare(load_recipe(ROOT / "recipes" / "digits-kd.yaml"), out))


def study(out: Path) -> None:
    from stillhouse.recipes import load_study
    from stillhouse.studies.study import prepare_study, run_study

    written = {
        "data": {"source": "digits", "limit": 400},
        "teacher": {"model": "convnet-8-16", "epochs": 2},
        "student": "convnet-4-8",
        "epochs": 2,
        "seeds": 2,
        "methods": [{"name": "kd", "weight": 0.1 * weight} for weight in range(1, 13)],
    }
    recipe = out.with_suffix(".yaml")
    recipe.write_text(yaml.safe_dump(written))
    run_study(prepare_study(load_study(recipe), out))


WHOLE = {"make demo": demo, "a study of twelve arms": study}


def measured(name: str) -> dict[str, float]:
    """CPU seconds of one of them, by part, in this process."""
    import stillhouse.report
    import stillhouse.runs.run
    import stillhouse.studies.study  # noqa: F401

    spent: dict[str, float] = {}
    timed(spent)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        WHOLE[name](Path(folder) / "run")
    whole = time.process_time() - began
    spent["all else"] = whole - sum(spent.values())
    return {"whole": round(whole, 2), **{part: round(each, 2) for part, each in spent.items()}}


def imports() -> float:
    """CPU seconds until a command can begin."""
    code = (
        "import time; t = time.process_time(); import stillhouse.runs.run, stillhouse.report; "
        "print(time.process_time() - t)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return round(float(done.stdout), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=WHOLE, help=argparse.SUPPRESS)
    case = parser.parse_args().case
    if case:
        print(yaml.safe_dump(measured(case), sort_keys=False))
        return
    runs = {}
    for name in WHOLE:
        done = subprocess.run([sys.executable, __file__, "--case", name],
                              capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr)
        lines = done.stdout[done.stdout.rindex("whole:") :]
        runs[name] = yaml.safe_load(lines)
        print(name, runs[name], flush=True)
    keep(
        "profile",
        "CPU seconds by part of whole runs; what runs inside another part counts there",
        import_seconds=imports(),
        runs=runs,
    )


if __name__ == "__main__":
    main()
