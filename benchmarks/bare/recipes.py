"""How the students of the demonstration are trained, and what they are tested on."""

from pathlib import Path
from typing import Any

from stillhouse.data.load import Splits, load

FLOWERS = "timm:resnet10t"
SETTINGS: dict[str, Any] = {"seeds": 1, "precision": "fp32", "compile": False, "quiet": True}


def recipes(data: Path) -> dict[str, dict[str, Any]]:
    """How the students are trained, in a minute or two each."""
    lfw = data / "lfw"
    return {
        "digits": {
            "data": {"source": "digits"},
            "teacher": "resnet8",
            "student": "convnet-8-16",
            "batch": 32,
            "epochs": 12,
        },
        "flowers17": {
            "data": {"source": data / "flowers17", "size": 64, "validation": 0.15,
                     "augment": ["flip"]},
            "teacher": "resnet8",
            "student": FLOWERS,
            "optimizer": {"name": "adamw", "lr": 3e-3},
            "batch": 32,
            "epochs": 4,
        },
        "lfw": {
            "data": {"source": lfw, "pairs": str(lfw / "pairs.csv"), "folds": [6, 7, 8, 9, 10],
                     "min_per_class": 2, "size": 90, "augment": ["flip"]},
            "task": {"name": "verification", "margin": "cosface", "size": 0.2, "scale": 16},
            "teacher": {
                "model": "mobilefacenet",
                "weights": str(data / "mobilefacenet" / "model.safetensors"),
                "head_path": "none",
                "input": {"pad": [3, 16, 3, 6], "mean": [0.5] * 3, "std": [0.50196] * 3},
            },
            "student": {"model": "convnet-32-64-96-128-e128", "input": {"size": 48}},
            "method": {"name": "embedding_kd", "kd_weight": 0, "label_weight": 0},
            "optimizer": {"name": "sgd", "lr": 0.1},
            "batch": 64,
            "epochs": 2,
        },
    }  # fmt: skip


def data_of(recipe: dict[str, Any]) -> Splits:
    """The rows that a recipe tests on."""
    options = recipe["data"]
    asked = {key: options[key] for key in ("validation", "pairs", "folds", "min_per_class")
             if key in options}  # fmt: skip
    return load(options["source"], open_set="task" in recipe, **asked)
