"""A student that reads another image than its teacher: grey beside colour."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.engine.nodes import Bridge, Ema
from stillhouse.errors import RecipeError
from stillhouse.methods import ema_kd
from stillhouse.models import build_model
from stillhouse.recipes import make_recipe

pytestmark = pytest.mark.programs

SIDE, SMALL, LARGE = 8, "convnet-4-8", "convnet-6-8"
GREY = {"channels": 1}


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three classes, brighter and redder."""
    made = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = made.integers(0, 120, (count, SIDE, SIDE, 3))
    images += 25 * labels[:, None, None, None]
    images[..., 0] += 40 * labels[:, None, None]
    return images.astype(np.uint8), labels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (train, train_labels), (test, test_labels) = drawn(90, 0), drawn(60, 1)
    path = tmp_path / "colour.npz"
    np.savez(
        path, train_images=train, train_labels=train_labels,
        test_images=test, test_labels=test_labels,
    )  # fmt: skip
    return path


def distil(data: Path, out: str = "run", student: str = SMALL, wanted=GREY, **settings):
    settings = {"teacher": LARGE, "epochs": 2, "batch": 30, "seeds": 1, "precision": "fp32",
                **settings}  # fmt: skip
    return sh.distill(
        data={"source": data, "augment": "none", "validation": 30},
        student={"model": student, "input": wanted},
        out=data.parent / out,
        **settings,
    )


def greyed(data: Path) -> tuple[Tensor, Tensor]:
    """The test images as the student reads them, by hand: grey, by the training images' numbers."""
    held = np.load(data)
    kept = json.loads((data.parent / "run/products.json").read_text())["products"][0]["what"]
    said = [float(part.split(")")[0]) for part in kept.split("(")[-2:]]
    images = torch.as_tensor(held["test_images"]).double() / 255
    grey = (images.mean(3) - said[0]) / said[1]
    return grey[:, None].float(), torch.as_tensor(held["test_labels"])


def share(model: nn.Module, data: Path) -> float:
    image, label = greyed(data)
    with torch.no_grad():
        return (model(image).argmax(1) == label).float().mean().item()


def bare(path: Path) -> nn.Module:
    model = build_model(SMALL, classes=3, channels=1, size=SIDE)
    model.load_state_dict(load_file(path), strict=True)
    return model.eval()


def runs(outcome) -> dict[str, dict]:
    return {model["role"]: model["runs"][0] for model in outcome.scores["models"]}


def test_everyone_reads_the_image_that_is_theirs(data: Path) -> None:
    """In training, on validation and on the test set; the control as the student does."""
    seen: dict[str, set[tuple[int, ...]]] = {"student": set(), "teacher": set()}

    class Watching(nn.Module):
        def __init__(self, who: str, channels: int) -> None:
            super().__init__()
            self.who = who
            self.fc = nn.Linear(channels * SIDE * SIDE, 3)

        def forward(self, image: Tensor) -> Tensor:
            seen[self.who].add(tuple(image.shape[1:]))
            logits: Tensor = self.fc(image.flatten(1))
            return logits

    outcome = distil(
        data,
        student=lambda: Watching("student", 1),
        teacher=lambda: Watching("teacher", 3),
    )
    assert seen == {"student": {(1, SIDE, SIDE)}, "teacher": {(3, SIDE, SIDE)}}
    assert {"teacher", "control", "student"} == set(runs(outcome))


def test_the_products_read_grey_images_and_say_so(data: Path) -> None:
    outcome = distil(data, epochs=8, method={"name": "th_kd", "form": "paper", "alpha": 0.4})
    run, out = runs(outcome)["student"], data.parent / "run"
    listed = json.loads((out / "products.json").read_text())["products"]
    assert all("it reads images [1, 8, 8] in [0, 1], minus mean (" in one["what"] for one in listed)
    assert share(bare(out / "student.safetensors"), data) == pytest.approx(run["test"]["last"])
    heads = run["heads"]
    own_class = bare(out / "student-teacher-head.safetensors")
    assert share(own_class, data) == pytest.approx(heads["teacher head"]["last"])
    program = torch.export.load(out / "student-mixture.pt2").module()
    assert share(program, data) == pytest.approx(heads["mixture"]["last"])
    assert share(outcome.student, data) == pytest.approx(run["test"]["last"])
    assert run["test"]["last"] > 0.4, "better than guessing, so that the images matter"


def test_a_mean_of_the_student_reads_what_the_student_reads(data: Path) -> None:
    outcome = distil(data, method="ema_kd", teacher=None)
    run, out = runs(outcome)["student"], data.parent / "run"
    mean = bare(out / "student-mean.safetensors")
    assert share(mean, data) == pytest.approx(run["heads"]["mean"]["last"])


def test_who_follows_a_role_reads_its_bridge() -> None:
    stage = ema_kd(nn.Linear(4, 2)).through("student", Bridge("grey", torch.abs, "batch.image"))
    assert [node.reads for node in stage.nodes[:2]] == [("grey",), ("grey",)]
    assert isinstance(stage.node("mean"), Ema)


def test_diagnostics_and_layers_are_found_behind_the_bridge(data: Path) -> None:
    outcome = distil(data, student="resnet8", teacher="resnet8", method="rkd")
    assert "embedding_cka" in runs(outcome)["student"]["diagnostics"]
    assert "embedding_cka" in runs(outcome)["control"]["diagnostics"]
    exits = distil(data, "byot", student="resnet8", teacher=None, method="byot")
    assert "exit 1" in runs(exits)["student"]["heads"]
    distil(data, "ps", teacher=None, method="ps_kd")


def test_another_input_is_another_student_and_another_control(data: Path) -> None:
    """The weights start alike: only the fingerprint tells them apart."""
    shared = data.parent / "shared"

    def controls() -> int:
        return len(list(shared.glob("control-*")))

    own = {"channels": 1, "mean": [0.5], "std": [0.5]}
    for at, (wanted, count) in enumerate(((GREY, 1), (own, 2), (GREY, 2), (None, 3))):
        distil(data, f"run{at}", wanted=wanted)
        assert controls() == count
    assert len(list(shared.glob("teacher-convnet-*"))) == 1, (
        "the teacher reads colour in all of them"
    )


def test_a_transfer_set_is_made_against_the_student_behind_its_input(data: Path) -> None:
    """The generator's images are the teacher's: in colour."""
    made = {"name": "dfad", "steps": 3, "batch_size": 16, "width": 8, "latent": 8}
    outcome = distil(data, transfer={"method": made, "count": 48})
    assert {"teacher", "control", "student"} == set(runs(outcome))


def test_an_input_is_checked_as_a_teachers_is() -> None:
    student = {"model": SMALL, "input": {"mean": [0.5]}}
    with pytest.raises(RecipeError, match="mean and std together"):
        make_recipe({"data": "digits", "student": student, "method": "plain"})
