"""A hand-made run directory: a teacher, three seeds of control and student, their curves."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stillhouse.records.checked import write_checked
from stillhouse.records.metric import CLASSIFICATION

EPOCHS = 30
TEACHER = (0.9750, 0.9778)
CONTROL = (0.9500, 0.9528, 0.9472)
STUDENT = (0.9611, 0.9667, 0.9583)

RECIPE = """\
name: digits-kd
data:
  name: digits
  validation: 0.1
teacher:
  model: resnet20
student:
  model: resnet8w8
method:
  name: kd
  temperature: 4.0
  weight: 0.9
train:
  epochs: 30
  seeds: [0, 1, 2]
  optimiser: {name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 0.0005}
"""

ENVIRONMENT = {
    "stillhouse": "0.1.0",
    "python": "3.11.7",
    "torch": "2.13.0",
    "platform": "Linux x86_64",
    "device": {"kind": "cpu", "cores": 2, "threads": 1},
    "packages": {"accelerate": "1.15.0", "numpy": "2.4.6", "safetensors": "0.8.0"},
}


def training(seed: int, test: float, seconds: float, **more: Any) -> dict[str, Any]:
    return {
        "seed": seed,
        "epochs": EPOCHS,
        "best_epoch": 21,
        "seconds": seconds,
        "reused": False,
        "validation": {"last": test + 0.006, "best": test + 0.012},
        "test": {"last": test, "best": test - 0.001},
        **more,
    }


def scores() -> dict[str, Any]:
    gains = [student - control for student, control in zip(STUDENT, CONTROL, strict=True)]
    return {
        "schema": 1,
        "task": CLASSIFICATION.plain(),
        "title": "resnet20 -> resnet8w8 on digits by kd",
        "created": "2026-11-21T06:00:00+00:00",
        "finished": True,
        "seconds": 93.1,
        "data": {
            "name": "digits",
            "train": 1294,
            "validation": 143,
            "test": 360,
            "classes": 10,
            "image": [1, 8, 8],
        },
        "method": {
            "name": "kd",
            "line": "Hinton KD: the student matches the teacher's softened probabilities.",
            "paper": "Hinton et al., 2015, arXiv 1503.02531",
            "settings": {"temperature": 4.0, "weight": 0.9},
        },
        "transfer": None,
        "teacher_served": None,
        "models": [
            {
                "role": "teacher",
                "model": "resnet20",
                "parameters": 272474,
                "bytes": 1104280,
                "runs": [training(0, TEACHER[0], 20.1)],
            },
            {
                "role": "control",
                "model": "resnet8w8",
                "parameters": 43250,
                "bytes": 175283,
                "runs": [training(seed, test, 10.0) for seed, test in enumerate(CONTROL)],
            },
            {
                "role": "student",
                "model": "resnet8w8",
                "parameters": 43250,
                "bytes": 175283,
                "runs": [training(seed, test, 12.0) for seed, test in enumerate(STUDENT)],
            },
        ],
        "verdict": {
            "word": "helps",
            "gain": sum(gains) / 3,
            "low": 0.0087,
            "high": 0.0154,
            "confidence": 0.95,
            "seeds": 3,
            "measure": "test accuracy, last epoch",
            "gains": gains,
            "sentence": "kd helps: +1.20 points of test accuracy over the control "
            "(95% interval +0.87 to +1.54, 3 paired seeds).",
        },
    }


def epoch_line(stage: str, seed: int, epoch: int, level: float) -> dict[str, Any]:
    wobble = math.sin(2.1 * epoch + 1.7 * seed) / epoch
    accuracy = level - 0.75 * math.exp(-epoch / 3.2) + 0.012 * wobble
    label = 2.2 * math.exp(-epoch / 5) + 0.08 + 0.02 * seed / epoch
    distil = 1.6 * math.exp(-epoch / 8) + 0.21 + 0.05 * (seed - 1) / epoch
    terms = {"label": label, "kd": distil} if stage == "student" else {"label": label}
    weights = {"label": 0.1, "kd": 0.9} if stage == "student" else {"label": 1.0}
    return {
        "event": "epoch",
        "stage": stage,
        "seed": seed,
        "epoch": epoch,
        "step": 40 * epoch,
        "loss": sum(weights[name] * terms[name] for name in terms),
        "terms": terms,
        "weights": weights,
        "lr": 0.05,
        "validation": {"student.logits": {"accuracy": accuracy, "loss": label}},
        "seconds": 0.4,
        "images_per_second": 1600.0,
    }


def metrics() -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{"event": "start", "stage": "teacher", "seed": 0}]
    for stage, levels in (("teacher", TEACHER[:1]), ("control", CONTROL), ("student", STUDENT)):
        for seed, level in enumerate(levels):
            lines += [epoch_line(stage, seed, n, level + 0.006) for n in range(1, EPOCHS + 1)]
    return lines


class HandMade:
    """The parts of a run, to be changed before ``write`` puts them into a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.scores: Any = scores()
        self.metrics: list[Any] = metrics()
        self.recipe: str | None = RECIPE
        self.environment: Any = copy.deepcopy(ENVIRONMENT)
        self.products: Any = {
            "schema": 1,
            "products": [
                {
                    "name": "student",
                    "file": "student.safetensors",
                    "bytes": 175283,
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "what": "weights of seed 0, last epoch",
                }
            ],
        }

    def model(self, role: str) -> dict[str, Any]:
        return next(model for model in self.scores["models"] if model["role"] == role)

    def write(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("scores.json", self.scores),
            ("environment.json", self.environment),
            ("products.json", self.products),
        ):
            if content is not None:
                write_checked(self.directory / name, content)
        (self.directory / "student.safetensors").write_bytes(b"test")
        if self.metrics:
            lines = "".join(json.dumps(line) + "\n" for line in self.metrics)
            (self.directory / "metrics.jsonl").write_text(lines, encoding="utf-8")
        if self.recipe is not None:
            (self.directory / "resolved.yaml").write_text(self.recipe, encoding="utf-8")
        return self.directory


@pytest.fixture
def made(tmp_path: Path) -> HandMade:
    return HandMade(tmp_path / "run")


@pytest.fixture
def run_directory(made: HandMade) -> Path:
    return made.write()


@pytest.fixture
def made_with(made: HandMade) -> Callable[..., Path]:
    """Write the run with some keys of its scores replaced."""

    def write(**changes: Any) -> Path:
        made.scores.update(changes)
        return made.write()

    return write


def reading(seed: int, epoch: int) -> dict[str, Any]:
    return {
        "embedding_cka": 0.9 - 0.3 / epoch + 0.01 * seed,
        "embedding_cosine": 0.8 - 0.2 / epoch,
        "head_cosine": [0.1 * at - 0.2 + 0.01 * seed for at in range(10)],
        "projector_singular_values": [4.0, 2.0, 4.0 / (10 * epoch), 0.0],
        "projector_effective_rank": 3.0 - 0.01 * epoch,
        "projector_share_small": 0.25,
        "projector_in_out_cka": 0.95,
        "projector_in_out_correlation": 0.4,
    }


@pytest.fixture
def with_likeness(made: HandMade) -> HandMade:
    """A run whose student has diagnostics, and whose control was looked at in the end."""
    for line in made.metrics:
        if line["stage"] == "student":
            line["diagnostics"] = reading(line["seed"], line["epoch"])
    for run in made.model("student")["runs"]:
        run["diagnostics"] = reading(run["seed"], 30)
    for run in made.model("control")["runs"]:
        run["diagnostics"] = {"embedding_cka": 0.6 + 0.1 * run["seed"], "head_cosine": [0.0] * 10}
    return made
