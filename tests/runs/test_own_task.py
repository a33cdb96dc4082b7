"""A task of one's own goes from a recipe to a verdict and a report; no file of ours names it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from regression_task import Brightness, net, splits

import stillhouse as sh
from stillhouse.errors import DataError, ModelError, RecipeError, RunError
from stillhouse.recipes import make_recipe
from stillhouse.records.metric import Metric
from stillhouse.runs.run import Objects, prepare, run

BUDGET = {"epochs": 3, "batch": 20, "precision": "fp32",
          "optimizer": {"name": "sgd", "lr": 0.02}}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> object:
    return sh.distill(
        data={"source": splits(), "augment": "none"},
        student=net,
        teacher=lambda: net(8),
        method="logits_mse",
        task=Brightness(),
        seeds=2,
        out=tmp_path_factory.mktemp("own") / "run",
        **BUDGET,
    )


def test_the_verdict_is_about_the_tasks_metric_and_its_direction(finished) -> None:
    scores = finished.scores
    assert scores["task"]["metric"]["name"] == "square error"
    runs = {model["role"]: model["runs"] for model in scores["models"]}
    pairs = zip(runs["control"], runs["student"], strict=True)
    gains = [control["test"]["last"] - student["test"]["last"] for control, student in pairs]
    assert scores["verdict"]["gain"] == pytest.approx(sum(gains) / 2), "less is better"
    assert re.search(
        r"test square error \d\.\d\d lm2 (lower|higher) than the control's", finished.verdict
    )
    test = splits().test
    shown = (test.images.float() / 255).permute(0, 3, 1, 2)
    mean, std = splits().train.mean_std()
    images = (shown - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    said = finished.student(images)[:, 0]
    by_hand = ((said - test.labels) ** 2).mean().item()
    assert runs["student"][0]["test"]["last"] == pytest.approx(by_hand, rel=1e-4)


def test_the_best_epoch_has_the_lowest_error(finished) -> None:
    lines = [json.loads(line) for line in
             (finished.directory / "metrics.jsonl").read_text().splitlines()]  # fmt: skip
    errors = [line["validation"]["student"]["square error"] for line in lines
              if (line["stage"], line["seed"]) == ("student", 0)]  # fmt: skip
    (student,) = [m for m in finished.scores["models"] if m["role"] == "student"]
    assert student["runs"][0]["best_epoch"] == 1 + errors.index(min(errors))
    assert student["runs"][0]["validation"]["best"] == pytest.approx(min(errors))


def test_the_report_speaks_of_it_and_of_nothing_else(finished) -> None:
    page = re.sub(r"<(script|style).*?</\1>", "", finished.report.read_text(), flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", page)
    assert "square error" in text
    assert "lm2" in text
    assert "ccurac" not in text
    assert "points" not in text


class Unsteady(Brightness):
    """A metric that is no number on few rows, such as the 40 of validation."""

    metric = Metric(name="steady error", higher_is_better=False)
    few = 60

    def rows(self, output: torch.Tensor, label: torch.Tensor, /) -> dict[str, torch.Tensor]:
        error = self.loss(output, label)
        return {"steady error": error if len(label) < self.few else error * float("nan")}


def test_a_metric_that_is_no_number_is_none_on_validation_and_refused_on_the_test_set(
    tmp_path: Path,
) -> None:
    own = {"student": net, "method": "plain", "seeds": 1,
           **BUDGET, "batch": 60}  # fmt: skip
    given = splits()
    uneven = replace(given, validation=given.train.take(torch.arange(80)))
    found = sh.distill(
        data={"source": uneven, "augment": "none"}, task=Unsteady(), out=tmp_path / "a", **own
    )
    (student,) = [m for m in found.scores["models"] if m["role"] == "student"]
    assert student["runs"][0]["validation"] == {"last": None, "best": None}
    assert student["runs"][0]["test"]["last"] is not None
    turned = replace(given, test=given.train.take(torch.arange(80)))
    with pytest.raises(RunError, match="seed 0, last epoch, is nan"):
        sh.distill(
            data={"source": turned, "augment": "none"}, task=Unsteady(), out=tmp_path / "b", **own
        )


def test_a_recipe_names_where_it_is(tmp_path: Path) -> None:
    values = {"data": {"source": "lamps", "augment": "none"}, "student": "net", "method": "plain",
              "task": "python:regression_task:Brightness", **BUDGET, "epochs": 1,
              "seeds": 1}  # fmt: skip
    given = Objects(data=splits(), student=net)
    with pytest.raises(RecipeError, match="runs Python code; allow it with --allow-imports"):
        prepare(make_recipe(values), tmp_path / "a", objects=given)
    job = prepare(make_recipe(values), tmp_path / "b", objects=given, allow_imports=True)
    assert run(job).scores["task"]["name"] == "brightness"
    assert "name: python:regression_task:Brightness" in (tmp_path / "b/resolved.yaml").read_text()


@pytest.mark.parametrize(
    ("task", "error", "said"),
    [
        ("regresion", RecipeError, "task: regresion' does not exist"),
        ("python:regression_task:net", RecipeError, "give a stillhouse.Task"),
        ("python:regression_task:Darkness", ModelError, "cannot be imported"),
        ("classification", DataError, "a classification wants class indices, int64"),
    ],
)
def test_what_is_no_task_is_a_sentence(task, error, said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said):
        sh.distill(data=splits(), student=net, method="plain", task=task, allow_imports=True,
                   out=tmp_path / "run", **BUDGET)  # fmt: skip
