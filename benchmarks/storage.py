"""What a smaller teacher cache costs: students of float16, bfloat16 and top-20 teachers.

    python benchmarks/storage.py         # after views.py, whose teacher and controls it shares

Eight views, the seeds and steps of recipes/cifar100-views.yaml; differences are paired by seed with
the students of the float32 teacher cache, which are those of a live teacher bit for bit.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from result_files import ROOT, keep
from stillhouse.recipes import load_recipe
from stillhouse.runs.progress.lines import LineProgress
from stillhouse.runs.run import prepare, run
from views import RECIPE, interval, runs_of

STORAGES = {
    "float32": [],
    "float16": ["cache.dtype=float16"],
    "bfloat16": ["cache.dtype=bfloat16"],
    "float16, top 20": ["cache.dtype=float16", "cache.top=20"],
}


def arm(name: str, settings: list[str], out: Path) -> dict[str, Any]:
    folder = out / ("views-8" if name == "float32" else f"views-8-{name.replace(', ', '-')}")
    recipe = load_recipe(RECIPE, ["data.views=8", *settings])
    outcome = run(
        prepare(recipe, folder.with_name(folder.name.replace(" ", "")), watcher=LineProgress())
    )
    state = {name: value.clone() for name, value in outcome.student.state_dict().items()}
    return {
        "state": state,
        "student": runs_of(outcome.scores, "student"),
        "bytes": outcome.scores["teacher_served"]["bytes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "views")
    arguments = parser.parse_args()
    arms: dict[str, dict[str, Any]] = {}
    states: dict[str, dict[str, torch.Tensor]] = {}
    for name, settings in STORAGES.items():
        found = arm(name, settings, arguments.out)
        states[name] = found.pop("state")
        exact = arms.get("float32", found)
        pairs = zip(found["student"], exact["student"], strict=True)
        arms[name] = {
            **found,
            "student_interval": interval(found["student"]),
            "minus_float32": interval([a - b for a, b in pairs]),
            "largest_weight_difference_of_seed_0": max(
                (states[name][key].float() - value.float()).abs().max().item()
                for key, value in states["float32"].items()
            ),
        }
        keep("storage", "students of a teacher cached at less precision, 8 views", arms=arms)
        print(name, arms[name])


if __name__ == "__main__":
    main()
