"""A run with patience: student and control end each by itself, and what is said names it."""

import pytest

from stillhouse.errors import RecipeError, StillhouseError
from stillhouse.recipes import make_recipe
from stillhouse.report.record import read_run
from stillhouse.report.rows import seed_rows
from stillhouse.runs.run import prepare, run

BASE = {
    "data": {"source": "digits", "limit": 60, "augment": "none"},
    "student": "mlp-4", "teacher": {"model": "mlp-8", "epochs": 1}, "epochs": 6, "batch": 30,
    "seeds": 1, "precision": "fp32", "patience": 1, "optimizer": {"name": "sgd", "lr": 1e-12},
}  # fmt: skip


def test_a_run_says_when_each_training_ended(tmp_path) -> None:
    """A rate that moves nothing: no epoch is better than the first, so both end after two."""
    outcome = run(prepare(make_recipe(BASE), tmp_path / "run"))
    runs = {model["role"]: model["runs"][0] for model in outcome.scores["models"]}
    for role in ("student", "control"):
        told = [runs[role][key] for key in ("epochs", "of_epochs", "best_epoch")]
        assert told == [2, 6, 1]
    assert runs["teacher"]["epochs"] == 1
    assert "of_epochs" not in runs["teacher"]
    said = outcome.scores["cautions"][0]
    assert said.startswith("Patience ended trainings early. Epochs of 6, by seed: control 2; ")
    assert "student 2. They had the same most and the same schedule" in said
    rows = {row.role: row.epochs for row in seed_rows(read_run(tmp_path / "run"))}
    assert rows["student"] == rows["control"] == "2 of 6"
    off = make_recipe({**BASE, "patience": None})
    jobs = [prepare(recipe, tmp_path / "other") for recipe in (make_recipe(BASE), off)]
    settings = [job._budget_identity(job.settings(0)) for job in jobs]
    assert settings[0].pop("patience") == 1
    assert settings[0] == settings[1]


TEACHER = {"model": "mlp-8", "patience": 2}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"patience": 5}, "patience is 5 of 6 epochs: it can end a training of at least 7"),
        ({"patience": 0}, "patience"),
        ({"teacher": {**TEACHER, "epochs": 3}}, "mlp-8: patience is 2 of 3 epochs"),
        ({"teacher": {**TEACHER, "until": {"epoch": 1}}}, "until and patience both end"),
        ({"teacher": {**TEACHER, "weights": "a.pt"}}, "it has weights .* so patience says nothing"),
        (
            {"transfer": {"count": 10, "method": "noise_uniform"}},
            "patience is read from validation data, and a student of a transfer set has none",
        ),
    ],
)
def test_what_cannot_be_is_refused_when_the_recipe_is_read(changed, said) -> None:
    with pytest.raises(StillhouseError, match=said):
        make_recipe({**BASE, **changed})


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({}, "patience: it is read from validation data"),
        ({"patience": None, "teacher": TEACHER}, r"teacher\.patience: it is read from validation"),
    ],
)
def test_without_validation_it_is_refused_in_a_sentence(changed, where, tmp_path) -> None:
    data = {**BASE["data"], "validation": 0}
    with pytest.raises(RecipeError, match=where):
        prepare(make_recipe({**BASE, "data": data, **changed}), tmp_path / "run")


def test_a_method_that_follows_the_training_is_told(tmp_path) -> None:
    recipe = make_recipe({**BASE, "method": "annealing_kd"})
    (said,) = prepare(recipe, tmp_path / "run").warned
    assert said.startswith("patience: the method annealing_kd changes over the whole training")
    assert not prepare(make_recipe(BASE), tmp_path / "run").warned
