"""Keep the numbers of a study as a result file that the docs can name, and print its table.

python benchmarks/study_result.py runs/mnist-heads "stillhouse run recipes/studies/mnist-heads.yaml"
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from stillhouse.records.files import write_json
from stillhouse.report.study_record import StudyRecord, read_study
from stillhouse.report.study_rows import GainWords, StudyRow, diagnostic_names, study_rows

RESULTS = Path(__file__).parent / "results"
SAME = ("directory", "fingerprint", "runs", "controls", "teacher")
AGAINST = {"helps": "better", "hurts": "worse"}


def compact(study: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """study.json with one list of numbers per measure, and what derived students cost."""
    arms = []
    for arm in study["arms"]:
        kept = {key: value for key, value in arm.items() if key not in SAME and value is not None}
        for role in ("runs", "controls", "teacher"):
            kept[role] = _columns(arm.get(role) or [])
        costs = directory / arm["directory"] / "costs.json"
        if costs.is_file():
            told = json.loads(costs.read_text())
            kept["costs"] = {key: told[key] for key in ("conditions", "networks")}
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


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def markdown(record: StudyRecord) -> str:
    """The table for the docs, best arm first."""
    titles = ["arm", "test, %"]
    if record.controlled:
        titles += ["over its control", "corrected"]
    if record.against:
        titles += [f"over {record.against}", "corrected"]
    titles += [name.replace("_", " ") for name in diagnostic_names(record)]
    titles += ["set made in"] if record.transferred else []
    rows = [_cells(row, record) for row in study_rows(record)]
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _cells(row: StudyRow, record: StudyRecord) -> list[str]:
    name = {"head": f"&nbsp;&nbsp;by {row.name}", "control": f"*control ({row.note})*"}
    shown = name.get(row.kind, row.name)
    width = 2 + 2 * record.controlled + 2 * bool(record.against) + len(diagnostic_names(record))
    width += record.transferred
    if row.kind == "failed":
        return [shown, row.note, *[""] * (width - 2)]
    cells = [shown, row.test]
    if record.controlled:
        cells += [_gain(row.gain), _word(row.gain, {})]
    if record.against:
        cells += [_gain(row.against), _word(row.against, AGAINST)]
    return [*cells, *row.diagnostics, *([row.made] if record.transferred else [])]


def _gain(said: GainWords) -> str:
    return f"{said.mean} ({said.range})" if said.range else said.mean


def _word(said: GainWords, words: Mapping[str, str]) -> str:
    word = words.get(said.word, said.word)
    bold = f"**{word}**" if said.word in AGAINST else word
    return f"{bold}, {said.p}" if said.p else bold


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
    print(markdown(read_study(directory)))


if __name__ == "__main__":
    main()
