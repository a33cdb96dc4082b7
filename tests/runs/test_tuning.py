"""tune: settings are chosen on validation with one seed, before the run, and kept."""

from pathlib import Path
from typing import Any

import pytest

import stillhouse as sh
from stillhouse.errors import RecipeError
from stillhouse.recipes import make_recipe
from stillhouse.recipes.tuning import candidates
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.runs.run import prepare, run
from stillhouse.studies.arms import count_trainings

OPTIONS = {"limit": 160, "augment": "none"}
RECIPE = {"data": "digits", "teacher": "mlp-16", "student": "mlp-8", "method": "kd"}


def test_the_best_on_validation_is_taken(tmp_path: Path) -> None:
    """Each candidate has the number of a run of its own; a weight of almost nothing loses."""
    asked: dict[str, Any] = {
        "data": {"source": "digits", **OPTIONS}, "teacher": "mlp-16", "student": "mlp-8",
        "method": {"name": "kd", "weight": 1e-6, "label_weight": 1e-6}, "epochs": 3, "batch": 20,
        "seeds": 2, "precision": "fp32", "shared": tmp_path / "shared",
    }  # fmt: skip
    own = {"tune": {"weight": [0.9], "label_weight": [0.1, 1.0]}}
    outcome = sh.distill(**asked, **own, out=tmp_path / "tuned")
    tuning = outcome.scores["tuning"]
    found = {each["name"]: each for each in tuning["candidates"]}
    assert list(found) == [
        "as asked for", "weight 0.9, label_weight 0.1", "weight 0.9, label_weight 1",
    ]  # fmt: skip
    for name, each in found.items():
        method = {"name": "kd", **each["settings"]}
        alone = sh.distill(**{**asked, "method": method, "seeds": 1}, control=False,
                           out=tmp_path / name.replace(" ", "-"))  # fmt: skip
        run = alone.scores["models"][-1]["runs"][0]
        assert run["validation"]["last"] == each["validation"]
    best = max(tuning["candidates"], key=lambda each: each["validation"])
    assert tuning["chosen"] == best["name"] != "as asked for"
    assert outcome.scores["method"]["settings"] == best["settings"]
    assert len(outcome.scores["models"][-1]["runs"]) == 2
    assert "weight 0.9, label_weight" in outcome.report.read_text(encoding="utf-8")
    again = sh.distill(**asked, **own, out=tmp_path / "tuned")
    assert again.scores == outcome.scores


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"method": "dkd"}, "what to try is known of kd alone"),
        ({"tune": {"weight": []}}, "the list is empty"),
        ({"tune": {"weight": [-1]}}, "weight"),
        ({"tune": {"wieght": [1]}}, "wieght"),
        ({"tune": {"weight": list(range(101))}}, "give at most 100"),
        ({"balance": "gradient"}, "leave out one of both"),
    ],
)
def test_what_cannot_be_tuned_is_said(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        make_recipe({**RECIPE, "tune": True, **changed})


def test_a_candidate_that_diverges_is_one_without_a_number(tmp_path: Path) -> None:
    """The others are tried all the same, and no candidate is told as a student of the run."""
    stages: list[str] = []

    class Listener(SilentWatcher):
        def begin(self, stage: str, steps: int, done: int) -> None:
            stages.append(stage)

    recipe = make_recipe({
        **RECIPE, "data": {"source": "digits", **OPTIONS}, "epochs": 2, "batch": 20, "seeds": 1,
        "tune": {"weight": [1e38, 0.12345678, 0.12345679]}, "precision": "fp32",
    })  # fmt: skip
    job = prepare(recipe, tmp_path / "run", watcher=Listener())
    tuning = run(job).scores["tuning"]
    found = {each["name"]: each for each in tuning["candidates"]}
    assert list(found) == [
        "as asked for", "weight 1e+38", "weight 0.12345678", "weight 0.12345679",
    ]  # fmt: skip
    assert "not finite" in found["weight 1e+38"]["diverged"]
    assert found["weight 1e+38"]["validation"] is None
    assert tuning["chosen"] != "weight 1e+38"
    assert stages.count("candidate") >= 3
    assert stages.count("student") == 1
    assert ">diverged<" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "4 candidates" in count_trainings([job])


def test_true_stands_for_five_settings_of_kd_and_false_for_none() -> None:
    recipe = make_recipe({**RECIPE, "tune": True})
    assert len(candidates(recipe.method, recipe.tune)) == 5
    assert make_recipe({**RECIPE, "tune": False}).tune is None


def test_without_validation_there_is_nothing_to_choose_on(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="validation leaves no rows"):
        sh.distill(
            data={"source": "digits", **OPTIONS, "validation": 0}, teacher="mlp-16",
            student="mlp-8", tune=True, out=tmp_path / "run",
        )  # fmt: skip
