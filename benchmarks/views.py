"""How many cached views are enough: student accuracy against the number of views.

    python benchmarks/views.py           # about half an hour; goes on where it was stopped

Runs recipes/cifar100-views.yaml for each number of views; teacher, control, cache, seeds and
student steps are the same. ``auto`` is a new view in each epoch, the same bits as a live teacher.
"""

import argparse
from pathlib import Path
from typing import Any

from result_files import ROOT, keep, picture
from stillhouse.recipes import load_recipe
from stillhouse.runs.progress.lines import LineProgress
from stillhouse.runs.run import prepare, run
from stillhouse.verdict.spread import spread

VIEWS = ("1", "2", "4", "8", "16", "auto")
RECIPE = ROOT / "recipes" / "cifar100-views.yaml"


def runs_of(scores: dict[str, Any], role: str) -> list[float]:
    """Test accuracy of the last epoch, in percent, seed by seed."""
    model = next(model for model in scores["models"] if model["role"] == role)
    return [100 * one["test"]["last"] for one in model["runs"]]


def interval(values: list[float]) -> dict[str, float | None]:
    found = spread(values)
    return {"mean": round(found.mean, 3), "half": found.half and round(found.half, 3)}


def arm(views: str, out: Path) -> dict[str, Any]:
    recipe = load_recipe(RECIPE, [f"data.views={views}"])
    outcome = run(prepare(recipe, out / f"views-{views}", watcher=LineProgress()))
    scores = outcome.scores
    students = runs_of(scores, "student")
    return {
        "epochs": recipe.epochs,
        "student": students,
        "student_interval": interval(students),
        "control": runs_of(scores, "control"),
        "teacher": runs_of(scores, "teacher")[0],
        "teacher_served": scores["teacher_served"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "views")
    arguments = parser.parse_args()
    arms: dict[str, dict[str, Any]] = {}
    for views in VIEWS:
        arms[views] = arm(views, arguments.out)
        live = arms.get("auto")
        for one in arms.values():
            if live:
                pairs = zip(one["student"], live["student"], strict=True)
                one["minus_live"] = interval([a - b for a, b in pairs])
        keep("views", "test accuracy in percent, last epoch, by number of cached views", arms=arms)
        print(views, arms[views]["student_interval"])
    draw(arms)


def draw(arms: dict[str, dict[str, Any]]) -> None:
    import matplotlib.pyplot as plt

    epochs = arms["auto"]["epochs"]
    at = [epochs if views == "auto" else int(views) for views in arms]
    found = [one["student_interval"] for one in arms.values()]
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    axes.errorbar(
        at, [f["mean"] for f in found], yerr=[f["half"] for f in found],
        marker="o", capsize=3, label="student, 95 % interval",
    )  # fmt: skip
    control = interval(arms["auto"]["control"])
    axes.axhline(control["mean"], color="grey", linestyle="--", label="control (new views)")
    axes.set_xscale("log", base=2)
    axes.set_xticks(at, [*(str(v) for v in at[:-1]), f"{epochs}\n(live)"])
    axes.set_xlabel("cached views per sample")
    axes.set_ylabel("test accuracy, %")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture("views"), dpi=150)


if __name__ == "__main__":
    main()
