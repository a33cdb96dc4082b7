"""The weights of a recipe: which part of a file is meant, and a classifier for other classes."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import stillhouse as sh
from stillhouse.errors import ModelError, RecipeError, WeightsError
from stillhouse.models import build_model
from stillhouse.recipes import make_recipe
from stillhouse.runs.preflight import check, networks_told, preflight
from stillhouse.runs.run import prepare, run

NAME = "convnet-4-8"
TINY = {
    "data": {"source": "digits", "limit": 128},
    "student": "convnet-4-4",
    "epochs": 1,
    "seeds": 1,
    "batch": 64,
    "precision": "fp32",
    "control": False,
    "checkpoint_seconds": 0,
}


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A checkpoint with two sets of weights for ten classes, one for twelve."""
    torch.manual_seed(0)
    made = {key: build_model(NAME, classes=10, channels=1) for key in ("model", "ema")}
    large = build_model(NAME, classes=12, channels=1)
    torch.save({key: net.state_dict() for key, net in made.items()}, tmp_path / "two.pt")
    torch.save({"net": large.state_dict()}, tmp_path / "large.pt")
    return tmp_path


def teacher_of(folder: Path, file: str, **more: object):
    recipe = make_recipe({**TINY, "teacher": {"model": NAME, "weights": folder / file, **more}})
    return prepare(recipe, folder / "run")


def test_two_that_fit_are_asked_about_before_anything_runs(two: Path) -> None:
    with pytest.raises(WeightsError, match=r"^teacher: .* such as weights_key: ema") as caught:
        teacher_of(two, "two.pt")
    assert "'model', 'ema'" in str(caught.value)
    job = teacher_of(two, "two.pt", weights_key="ema")
    wanted = torch.load(two / "two.pt", weights_only=True)["ema"]["fc.weight"]
    assert torch.equal(job.teacher.make(0).fc.weight, wanted)
    assert networks_told(job) == ["teacher: weights of two.pt under 'ema'"]
    assert preflight(job).teacher.line


def test_a_file_of_other_classes_offers_a_new_head(two: Path) -> None:
    with pytest.raises(WeightsError, match=r"for 12 classes \(fc\), the model for 10") as caught:
        teacher_of(two, "large.pt")
    assert "say weights_head: new" in str(caught.value)


def test_a_new_head_is_trained_and_recorded(two: Path) -> None:
    """A given teacher is scored as it is; with a new head it starts from its file and learns."""
    job = teacher_of(two, "large.pt", weights_head="new")
    assert not job.teacher.given
    body = torch.load(two / "large.pt", weights_only=True)["net"]["layer2.conv.weight"]
    assert torch.equal(job.teacher.make(0).layer2.conv.weight, body)
    assert job.teacher.make(0).fc.weight.shape == (10, 8)
    heard: list[str] = []
    object.__setattr__(job.watcher, "say", heard.append)
    outcome = run(job)
    assert heard[0] == (
        "teacher: weights of large.pt under 'net' with a new classifier (fc), which has to be "
        "trained"
    )
    written = yaml.safe_load((outcome.directory / "resolved.yaml").read_text())
    assert written["teacher"]["weights_head"] == "new"
    (trained,) = outcome.scores["models"][0]["runs"]
    assert not trained.get("given")
    plain = make_recipe({**TINY, "teacher": NAME})
    other = prepare(plain, two / "other")
    first, second = (each.teacher.network.identity(0) for each in (job, other))
    assert first["start"] != second["start"], "a teacher from a file is not the one from scratch"


def test_a_student_starts_from_a_file_with_a_new_head(two: Path) -> None:
    student = {"model": NAME, "weights": two / "large.pt", "weights_head": "new"}
    job = prepare(make_recipe({**TINY, "student": student, "method": "plain"}), two / "run")
    check(job)
    body = torch.load(two / "large.pt", weights_only=True)["net"]["layer2.conv.weight"]
    first, second = job.student.make(0), job.student.make(1)
    assert torch.equal(first.layer2.conv.weight, body)
    assert not torch.equal(first.fc.weight, second.fc.weight), "each seed has a head of its own"


def test_what_says_nothing_is_refused(two: Path) -> None:
    for key, value in (("weights_key", "ema"), ("weights_prefix", "m."), ("weights_head", "new")):
        with pytest.raises(RecipeError, match=f"{key} says how a file is read; add weights"):
            make_recipe({**TINY, "teacher": {"model": NAME, key: value}})
    given = {"model": NAME, "weights": two / "two.pt", "epochs": 3}
    with pytest.raises(RecipeError, match=r"has weights and is not trained here, so epochs"):
        make_recipe({**TINY, "teacher": given})
    make_recipe({**TINY, "teacher": {**given, "weights_head": "new"}})


def test_a_file_in_place_of_a_network_is_told(two: Path) -> None:
    with pytest.raises(ModelError, match=r"is a file, no model; say which network"):
        prepare(make_recipe({**TINY, "teacher": str(two / "two.pt")}), two / "run")
    with pytest.raises(RecipeError, match=r"is a path, and weights need the network"):
        sh.distill(data="digits", student=nn.Linear(1, 1), teacher=two / "two.pt", out=two / "run")
