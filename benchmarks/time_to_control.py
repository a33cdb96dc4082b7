"""Wall time until a distilled student is as accurate as the control at its end.

    python benchmarks/time_to_control.py   # writes benchmarks/results/time_to_control.json

recipes/cifar100-views.yaml. The control's time is that of its whole training; the student's counts
the teacher cache of its teacher in full (not shared with other seeds) and the epochs until its
validation accuracy first reaches the control's last one, validation included on both sides.
"""

import argparse
from pathlib import Path
from typing import Any

from result_files import ROOT, keep
from stillhouse.engine.resuming import METRICS
from stillhouse.recipes import load_recipe
from stillhouse.records.files import Lines
from stillhouse.runs.progress.lines import LineProgress
from stillhouse.runs.run import prepare, run
from stillhouse.verdict.spread import spread

RECIPE = ROOT / "recipes" / "cifar100-views.yaml"


def history(out: Path, stage: str, seed: int) -> list[dict[str, Any]]:
    lines = Lines(out / METRICS).read()
    return [line for line in lines if line["stage"] == stage and line["seed"] == seed]


def accuracy(line: dict[str, Any]) -> float:
    return float(next(iter(line["validation"].values()))["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "time" / "kd")
    parser.add_argument("--views", default="4")
    arguments = parser.parse_args()
    recipe = load_recipe(RECIPE, [f"data.views={arguments.views}"])
    outcome = run(prepare(recipe, arguments.out, watcher=LineProgress()))
    cache = outcome.scores["teacher_served"]["seconds"]
    seeds = []
    for seed in recipe.seeds:
        control = history(arguments.out, "control", seed)
        student = history(arguments.out, "student", seed)
        goal, spent = accuracy(control[-1]), cache
        for line in student:
            spent += line["seconds"]
            if accuracy(line) >= goal:
                break
        alone = sum(line["seconds"] for line in control)
        seeds.append(
            {
                "seed": seed,
                "goal": goal,
                "epoch": line["epoch"],
                "reached": accuracy(line) >= goal,
                "student_seconds": round(spent, 2),
                "control_seconds": round(alone, 2),
                "ratio": round(spent / alone, 4),
            }
        )
        print(seeds[-1])
    found = spread([one["ratio"] for one in seeds])
    keep(
        "time_to_control",
        "seconds until the student's validation accuracy reaches the control's last one",
        cache_seconds=cache,
        seeds=seeds,
        ratio={"mean": round(found.mean, 4), "half": found.half and round(found.half, 4)},
        scores=outcome.scores,
    )


if __name__ == "__main__":
    main()
