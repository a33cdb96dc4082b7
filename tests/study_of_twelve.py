"""A hand-made study of many arms, as study.json says it."""

import itertools
import random
from typing import Any

from stillhouse.records.metric import CLASSIFICATION
from stillhouse.records.study import StudyTable
from stillhouse.studies.comparisons import comparisons
from stillhouse.verdict.paired import paired

SEEDS = 5
CONTROL = (0.9712, 0.9705, 0.9721, 0.9699, 0.9716)


def training(seed: int, last: float, best: float, **more: Any) -> dict[str, Any]:
    validation = {"last": last - 0.004, "best": best}
    return {"seed": seed, "test": {"last": last, "best": best}, "validation": validation, **more}


def trainings(mean: float, spread: float, draw: random.Random, **more: Any) -> list[dict[str, Any]]:
    lasts = [mean + draw.gauss(0, spread) + base - 0.9711 for base in CONTROL]
    return [
        {**training(seed, last, mean, seconds=12.4 + seed, **more),
         "validation": {"last": mean - 0.004, "best": mean}}
        for seed, last in enumerate(lasts)
    ]  # fmt: skip


def arm(name: str, mean: float, draw: random.Random, **more: Any) -> dict[str, Any]:
    directory = "arms/" + "".join(c if c.isalnum() or c in "=._" else "-" for c in name)
    heads = more.pop("heads", {})
    runs = trainings(mean, 0.0012, draw, diagnostics=more.pop("diagnostics", {}))
    for run in runs:
        run["heads"] = {
            head: {"last": share + draw.gauss(0, 0.001), "best": share}
            for head, share in heads.items()
        }
    return {
        "name": name,
        "settings": {},
        "at": None,
        "method": "kd",
        "teacher_model": "convnet-32-64-64",
        "student_model": "convnet-4-8-64",
        "epochs": 30,
        "batch": 64,
        "directory": directory,
        "state": "finished",
        "runs": runs,
        "controls": [
            training(seed, share, share, seconds=8.1) for seed, share in enumerate(CONTROL)
        ],
        "teacher": [training(0, 0.989, 0.99, seconds=31.0)],
        **more,
    }


def compared(arms: list[dict[str, Any]], against: str | None) -> None:
    by_name = {each["name"]: each for each in arms}
    for key in ("gain", "over_against"):
        found = {}
        for each in arms:
            theirs = each["controls"] if key == "gain" else by_name.get(against, {}).get("runs", [])
            if each["runs"] and (key == "gain" or each["name"] != against):
                pairs = zip(each["runs"], theirs, strict=False)
                found[each["name"]] = paired(
                    [a["test"]["last"] - b["test"]["last"] for a, b in pairs]
                )
        for name, said in comparisons(found).items():
            by_name[name][key] = said and said.plain()


def study_of_twelve(axis: str = "teacher") -> dict[str, Any]:
    draw = random.Random(4)
    diagnostics = {"embedding_cka": 0.71, "embedding_cosine": 0.32}
    arms = [
        arm("kd", 0.9731, draw, settings={"method.name": "kd"}, diagnostics=diagnostics, at=4.0),
        arm("kd, small teacher", 0.9722, draw, settings={"teacher.model": "convnet-8-16"},
            teacher_model="convnet-8-16", at=4.0,
            teacher=[training(0, 0.978, 0.98, seconds=14.0)]),
        arm("kd, great teacher", 0.9738, draw, settings={"teacher.model": "resnet20"},
            teacher_model="resnet20", at=4.0,
            teacher=[training(0, 0.9935, 0.994, seconds=90.0)]),
        arm("teacher head 0.5", 0.9762, draw, method="th_kd",
            settings={"method.name": "th_kd", "method.alpha": 0.5}, at=0.5,
            heads={"teacher head": 0.9781, "mixture": 0.9779},
            diagnostics={**diagnostics, "projector_effective_rank": 21.4,
                         "projector_in_out_cka": 0.93}),
        arm("label smoothing", 0.9690, draw, method="label_smoothing",
            settings={"method.name": "label_smoothing"}),
    ]  # fmt: skip
    grid = itertools.product(("none", "linear", "mlp"), ("l2", "log_sum"))
    for position, (projector, distance) in enumerate(grid):
        arms.append(
            arm(f"projector={projector}, distance={distance}", 0.9702 + 0.0011 * position, draw,
                settings={"method.projector": projector, "method.distance": distance},
                method="features", at=None)
        )  # fmt: skip
    wild = arm("rate 30", 0.1, draw)
    wild |= {"state": "diverged", "runs": [], "controls": [], "teacher": []}
    wild["message"] = "term 'kd' is not finite at step 12; the last good checkpoint is kept"
    arms.append(wild)
    for each in arms:
        each |= {"gain": None, "over_against": None}
    compared(arms, "kd")
    return {
        "schema": StudyTable.SCHEMA,
        "task": CLASSIFICATION.plain(),
        "title": "Sharing the teacher's classifier on MNIST",
        "created": "2026-11-21T06:00:00+00:00",
        "seconds": 5140.2,
        "finished": True,
        "data": {
            "name": "mnist",
            "train": 54000,
            "validation": 6000,
            "test": 10000,
            "classes": 10,
            "image": [1, 28, 28],
        },
        "axis": axis,
        "against": "kd",
        "rivals": ["kd"],
        "swept": ["method.projector", "method.distance"],
        "arms": arms,
    }
