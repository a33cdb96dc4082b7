"""Recipes with a transfer set: students see images made from the teacher, and never the data."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from stillhouse.data.load import load
from stillhouse.data.sources.synthesis import read_synthesis
from stillhouse.errors import ModelError, RecipeError
from stillhouse.models import build_model, load_weights
from stillhouse.recipes import make_recipe, make_study, override
from stillhouse.runs.run import Outcome, prepare, run
from stillhouse.runs.training.transfer import stand_in
from stillhouse.studies.arms import count_trainings
from stillhouse.studies.study import prepare_study, run_study
from stillhouse.synthesis import synthesize

ZERO_SHOT = {"name": "zero_shot", "steps": 3, "lr": 0.1}


def recipe(**own: Any) -> dict[str, Any]:
    transfer = {"count": 40, "method": ZERO_SHOT, **own.pop("transfer", {})}
    return {
        "data": {"source": "digits", "limit": 200, "augment": "none"},
        "teacher": {"model": "mlp-16", "epochs": 2},
        "student": "mlp-8",
        "method": {"name": "kd", "temperature": 20, "weight": 1.0, "label_weight": 0},
        "epochs": 2,
        "seeds": [0],
        "batch": 20,
        "precision": "fp32",  # as what these tests compute by hand
        "optimizer": {"name": "adamw", "lr": 0.01},
        "transfer": transfer,
        **own,
    }


def ran(out: Path, **own: Any) -> Outcome:
    return run(prepare(make_recipe(recipe(**own)), out))


def sets(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "shared").glob("transfer-*") if path.is_dir())


def test_a_run_makes_what_synthesize_makes_of_its_teacher(tmp_path: Path) -> None:
    outcome = ran(tmp_path / "run")
    [found] = sets(tmp_path)
    teacher = build_model("mlp-16", classes=10, channels=1, size=8)
    load_weights(teacher, next((tmp_path / "shared").glob("teacher-*")) / "student.safetensors")
    # An own look at the data: mean and deviation of the images that the teacher was trained on.
    pixels = load("digits", limit=200).train.images.double() / 255
    made = synthesize(
        teacher, method=ZERO_SHOT, count=40, image_shape=(1, 8, 8), out=tmp_path / "by hand",
        mean=[float(pixels.mean())], std=[float(pixels.std(correction=0))], precision="fp32",
    )  # fmt: skip
    mine, theirs = (read_synthesis(d).parts["train"] for d in (found, made.directory))
    torch.testing.assert_close(mine.images, theirs.images, atol=1e-5, rtol=1e-5)
    assert outcome.scores["transfer"]["count"] == 40
    assert outcome.scores["transfer"]["sets"][0]["balance"]["given"] == made.balance["given"]
    assert sum(made.balance["given"]) == 40


def test_students_are_judged_on_real_images_and_by_no_validation(tmp_path: Path) -> None:
    outcome = ran(tmp_path / "run")
    student = next(m for m in outcome.scores["models"] if m["role"] == "student")
    assert student["runs"][0]["validation"] == {"last": None, "best": None}
    assert student["runs"][0]["epochs"] == student["runs"][0]["best_epoch"] == 2
    # The reported accuracy is that of the written file on the real test images.
    net = build_model("mlp-8", classes=10, channels=1, size=8)
    net.load_state_dict(load_file(tmp_path / "run" / "student.safetensors"))
    splits = load("digits", limit=200)
    mean, std = splits.train.mean_std()
    images = (splits.test.images.permute(0, 3, 1, 2).float() / 255 - mean[0]) / std[0]
    hits = (net.eval()(images).argmax(1) == splits.test.labels).float().mean()
    assert student["runs"][0]["test"]["last"] == pytest.approx(float(hits), abs=1e-6)


def test_a_smaller_set_begins_like_a_larger_one_and_is_made_once(tmp_path: Path) -> None:
    ran(tmp_path / "large", transfer={"count": 60})
    [found] = sets(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in found.glob("rows-*")}
    small = ran(tmp_path / "small", transfer={"count": 20})
    assert sets(tmp_path) == [found]
    assert {path.name: path.stat().st_mtime_ns for path in found.glob("rows-*")} == before
    assert small.scores["transfer"]["sets"][0]["balance"]["images"] == 20
    ran(tmp_path / "larger", transfer={"count": 80})
    assert len(read_synthesis(found).parts["train"]) == 80
    again = ran(tmp_path / "again", transfer={"count": 20})  # now found in files cut otherwise
    assert (
        again.scores["models"][-1]["runs"][0]["test"]
        == small.scores["models"][-1]["runs"][0]["test"]
    )


def test_every_set_is_learnt_on_equally_long(tmp_path: Path) -> None:
    few = prepare(
        make_recipe(recipe(transfer={"count": 10, "images_per_epoch": 60})), tmp_path / "few"
    )
    many = prepare(
        make_recipe(recipe(transfer={"count": 60, "images_per_epoch": 60})), tmp_path / "many"
    )
    assert len(stand_in(few).data.train(0)) == len(stand_in(many).data.train(0)) == 3
    with pytest.raises(RecipeError, match="images_per_epoch is 5 and there are 10"):
        make_recipe(recipe(transfer={"count": 10, "images_per_epoch": 5}))


def test_a_second_look_finds_everything_and_trains_nothing(tmp_path: Path) -> None:
    first = ran(tmp_path / "run", seeds=[0, 1], transfer={"seed": "student"})
    assert len(sets(tmp_path)) == 2
    again = ran(tmp_path / "run", seeds=[0, 1], transfer={"seed": "student"})
    assert again.verdict == first.verdict
    assert again.scores == first.scores
    (tmp_path / "run" / "scores.json").unlink()  # judged again, by what was trained
    again = ran(tmp_path / "run", seeds=[0, 1], transfer={"seed": "student"})
    roles = {m["role"]: [r["reused"] for r in m["runs"]] for m in again.scores["models"]}
    assert roles == {"teacher": [True], "control": [True, True], "student": [True, True]}
    # Each student learnt on its own set.
    assert [one["seed"] for one in again.scores["transfer"]["sets"]] == [0, 1]


def test_one_set_for_all_students_is_made_once(tmp_path: Path) -> None:
    outcome = ran(tmp_path / "run", seeds=[0, 1])
    assert len(sets(tmp_path)) == len(outcome.scores["transfer"]["sets"]) == 1


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ({"name": "deep_inversion"}, "no batch norm"),
        ({"name": "real"}, "100000 images are asked for and 'real' has"),
        ({"name": "unrelated", "source": "digits"}, "100000 images are asked for"),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_teacher_is_trained(
    tmp_path: Path, method: dict[str, Any], said: str
) -> None:
    asked = make_recipe(recipe(transfer={"count": 100_000, "method": method}))
    with pytest.raises((ModelError, RecipeError), match=said):
        prepare(asked, tmp_path / "run")
    assert not (tmp_path / "shared").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"teacher": None, "method": "label_smoothing"}, "a transfer set is made from a teacher"),
        ({"transfer": {"method": "zeroshot"}}, "'transfer.method: zeroshot' does not exist"),
        ({"transfer": {"method": {"name": "adi"}}}, "'transfer.method.weights' is missing"),
        ({"transfer": {"method": {"name": "unrelated"}}}, "'transfer.method.source' is missing"),
        ({"transfer": {"augment": {"scale": 0.5}}}, "'transfer.augment.scale' is 0.5"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        make_recipe(recipe(**change))


def test_settings_of_a_synthesis_are_reached_from_the_command_line() -> None:
    values = override({"transfer": {"count": 5}}, ["transfer.method.steps=7"])
    assert values["transfer"] == {"count": 5, "method": {"name": "zero_shot", "steps": 7}}


@pytest.mark.parametrize(
    "method",
    [
        "noise_gaussian",
        "real",
        {"name": "class_impressions", "steps": 2},
        {"name": "dafl", "steps": 2, "batch_size": 8, "latent": 4, "width": 4},
    ],
    ids=str,
)
def test_every_kind_of_set_teaches(tmp_path: Path, method: Any) -> None:
    data = {"source": "digits", "limit": 200, "augment": "none", "size": 28}
    outcome = ran(tmp_path / "run", data=data, epochs=1, transfer={"method": method})
    assert outcome.scores["transfer"]["count"] == 40


def test_real_images_are_those_of_the_teacher_and_labelled_by_it(tmp_path: Path) -> None:
    ran(tmp_path / "run", transfer={"method": "real", "count": 30})
    made = read_synthesis(sets(tmp_path)[0]).parts["train"]
    splits = load("digits", limit=200)
    mean, std = splits.train.mean_std()
    real = ((splits.train.images.float() / 255 - mean[0]) / std[0]).flatten(1)
    distance = (made.images.flatten(1)[:, None] - real).abs().amax(2)
    assert float(distance.amin(1).max()) < 1e-5
    assert len(distance.argmin(1).unique()) == 30


def test_a_study_compares_sets_and_counts_what_it_trains(tmp_path: Path) -> None:
    values = {**recipe(transfer={"images_per_epoch": 60}), "seeds": [0, 1], "epochs": 1}
    values["arms"] = {
        "noise": {"transfer.method": "noise_gaussian"},
        "impressions": {},
        "few": {"transfer.count": 20},
    }
    prepared = prepare_study(make_study({**values, "axis": "transfer.count"}), tmp_path / "study")
    said = count_trainings(prepared.jobs.values())
    assert "13 trainings: 6 students, 6 controls, 1 teacher" in said
    table = run_study(prepared).scores
    told = {arm["name"]: arm["transfer"] for arm in table["arms"]}
    assert {name: each["count"] for name, each in told.items()} == {
        "noise": 40, "impressions": 40, "few": 20,
    }  # fmt: skip
    assert told["noise"]["method"] == "noise_gaussian"
    assert told["few"]["seconds"] <= told["impressions"]["seconds"]
    assert len(sets(tmp_path)) == 2
    counts = {
        path.name: json.loads((path / "synthesis.json").read_text())["count"]
        for path in sets(tmp_path)
    }
    assert sorted(counts.values()) == [40, 40]


def test_augmentation_is_written_out(tmp_path: Path) -> None:
    job = prepare(make_recipe(recipe()), tmp_path / "run")
    assert job.recipe.transfer.augment.model_dump(exclude_defaults=True) == {
        "rotate": 15.0, "shift": 1.0, "scale": 2.0, "blur": 0.5,
    }  # fmt: skip
    assert (job.data.augment.scale, stand_in(job).data.augment.scale) == (1.0, 2.0)
