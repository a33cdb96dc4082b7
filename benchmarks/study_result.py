"""Keep the numbers of a study as a result file that the docs can name, and print its table.

python benchmarks/study_result.py runs/heads "stillhouse run recipes/studies/mnist-sharing.yaml"
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from stillhouse.records.files import write_json
from stillhouse.report.study_record import read_study
from stillhouse.report.study_rows import diagnostic_names
from tables.arms import arms_table

RESULTS = Path(__file__).parent / "results"
ROLES = {"runs": "student", "controls": "control", "teacher": "teacher"}
SAME = ("directory", "fingerprint", "runs", "controls", "teacher")


def compact(study: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """study.json with one list of numbers per measure, and what derived students cost."""
    arms = []
    for arm in study["arms"]:
        kept = {key: value for key, value in arm.items() if key not in SAME and value is not None}
        scores = directory / arm["directory"] / "scores.json"
        told = json.loads(scores.read_text()) if scores.is_file() else {}
        for part, role in ROLES.items():
            kept[part] = _columns(arm.get(part) or []) | _training(told, role)
        figures = [
            {key: value for key, value in each.items() if key != "plots"}
            for each in told.get("figures", [])
        ]
        if figures:
            kept["figures"] = figures
        costs = directory / arm["directory"] / "costs.json"
        if costs.is_file():
            measured = json.loads(costs.read_text())
            kept["costs"] = {key: measured[key] for key in ("conditions", "networks")}
        arms.append(kept)
    return {**study, "arms": arms}


def _columns(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Test accuracies (four digits after the point are a test image of 10,000), seeds, seconds."""
    if not runs:
        return {}
    found: dict[str, Any] = {
        "seeds": [run["seed"] for run in runs],
        "last": [_rounded(run["test"]["last"]) for run in runs],
        "best": [_rounded(run["test"]["best"]) for run in runs],
        "validation": [_rounded(run.get("validation", {}).get("last")) for run in runs],
        "seconds": [run.get("seconds") for run in runs],
    }
    for part in ("heads", "diagnostics"):
        for name in runs[0].get(part, {}):
            values = [run.get(part, {}).get(name) for run in runs]
            lasts = [value.get("last") if isinstance(value, dict) else value for value in values]
            found.setdefault(part, {})[name] = [_rounded(value) for value in lasts]
    return found


def _training(scores: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The metric on training rows of each seed, where it was looked at."""
    runs = [r for m in scores.get("models", []) if m["role"] == role for r in m["runs"]]
    known = [_rounded(run.get("training")) for run in runs]
    return {} if all(value is None for value in known) else {"training": known}


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="directory of a study")
    parser.add_argument("command", help="the command that made it")
    parser.add_argument("--name", help="name of the result file (default: that of the directory)")
    arguments = parser.parse_args()
    directory = arguments.study
    study = json.loads((directory / "study.json").read_text())
    first = next(directory / arm["directory"] for arm in study["arms"] if arm["runs"])
    kept = {
        "command": arguments.command,
        "study": compact(study, directory),
        "recipe": yaml.safe_load((directory / "study.yaml").read_text()),
        "environment": json.loads((first / "environment.json").read_text()),
    }
    target = RESULTS / f"{arguments.name or directory.name}.json"
    write_json(target, kept)
    print(f"{target.name}, {target.stat().st_size / 1000:.0f} kB\n")
    record = read_study(directory)
    columns = [*diagnostic_names(record), *(["made"] if record.transferred else [])]
    print(arms_table(record, columns))


if __name__ == "__main__":
    main()
