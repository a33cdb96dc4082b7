"""Every shipped recipe dry-runs: on its own data where it is at hand, with its own networks."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from pyarrow import parquet
from torch import nn

from stillhouse.data import Splits, load
from stillhouse.recipes import load_recipe, load_study
from stillhouse.recipes.derive import PruneSection
from stillhouse.records.own_code import IMPORT
from stillhouse.records.places import located
from stillhouse.runs.job.method import chosen_optimizer, chosen_schedule
from stillhouse.runs.preflight import preflight
from stillhouse.runs.run import Objects, prepare

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "recipes/studies").glob("*.yaml"))
SHIPPED = [path for path in sorted((ROOT / "recipes").rglob("*.yaml")) if path not in STUDIES]


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_a_shipped_study_is_one(path: Path) -> None:
    """Each arm is a valid recipe, and no two are the same."""
    study = load_study(path)
    assert path.read_text().startswith("# "), "a study says what it is"
    assert len(study.arms) >= 3
    assert not _paths(path), "data are called by their names"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_is_one(path: Path) -> None:
    """Also where its data, or torchvision, are not at hand."""
    load_recipe(path)
    assert path.read_text().startswith("# "), "a recipe says what it is"
    assert not _paths(path), "data are called by their names"


def _paths(recipe: Path) -> list[str]:
    """Paths to folders outside: nobody else has them."""
    text = "\n".join(each for each in recipe.read_text().splitlines() if each[:1] != "#")
    return re.findall(r"\.\./[\w/.-]+|(?<![\w.])/[\w.-]+/[\w/.-]+", text)


@pytest.mark.parametrize(
    ("name", "epochs", "rates"),
    [
        (
            "cifar100-resnet32x4-resnet8x4-kd",
            240,
            {0: 0.05, 149: 0.05, 150: 0.005, 179: 0.005, 180: 5e-4, 210: 5e-5, 239: 5e-5},
        ),
        (
            "cifar100-tf-kd-reg-shufflenet_v2",
            200,
            {0: 0.001, 1: 0.1, 59: 0.1, 60: 0.02, 120: 0.004, 160: 8e-4, 199: 8e-4},
        ),
        (
            "imagenet-resnet34-resnet18-projector",
            100,
            {0: 0.1, 29: 0.1, 30: 0.01, 60: 1e-3, 90: 1e-4, 99: 1e-4},
        ),
    ],
)
def test_the_rates_are_those_of_the_papers(name: str, epochs: int, rates) -> None:
    """Epochs are counted from 0 here; the rate is that of the first of 100 steps of each."""
    recipe = load_recipe(ROOT / "recipes" / "papers" / f"{name}.yaml")
    assert recipe.epochs == epochs
    optimizer = chosen_optimizer(recipe)([nn.Parameter(torch.zeros(1))])
    schedule = chosen_schedule(recipe)(optimizer, 100 * epochs, 100)
    found = {epoch: recipe.optimizer.lr * schedule.lr_lambdas[0](100 * epoch) for epoch in rates}
    assert found == pytest.approx(rates)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_dry_runs(path: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    if IMPORT in path.read_text():
        pytest.skip("its networks are of another package; tests/ecosystem tries it")
    few = ["batch=8"]  # what fits together does so in small batches too
    people = "verification" in load_recipe(path).task.name
    few += ["data.pairs=null", "data.folds=null", "data.min_per_class=1"] if people else []
    recipe = load_recipe(path, few)
    if isinstance(recipe.student, PruneSection):
        pytest.importorskip("torch_pruning", reason="torch-pruning is not installed")
    objects = None
    if recipe.data.source != "digits":
        source = located(recipe.data.source)
        if not source.is_dir():
            pytest.skip(f"{source} is not beside this checkout")
        objects = Objects(data=_few_people(source) if people else _few_rows(source))
    job = prepare(recipe, tmp_path / "run", objects=objects)
    found = preflight(job)
    assert {line.name for line in found.terms} >= {"label"}
    assert sum(line.gradient_share for line in found.terms) == pytest.approx(1.0)
    assert not (tmp_path / "run").exists()


@cache
def _few_rows(source: Path) -> Splits:
    """The real test images alone (decoding 60,000 takes a while), as train and test."""
    file = next(iter(sorted(source.glob("test-*.parquet"))))
    splits = load(str(file), validation=0.05, test=0.05)
    return replace(splits, name=source.name)


@cache
def _few_people(source: Path) -> Splits:
    """The first rows of a list of faces, whose people are split by themselves."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "few.parquet"
        parquet.write_table(parquet.read_table(source / "all.parquet").slice(0, 300), file)
        splits = load(str(file), open_set=True, validation=0.2, test=0.2, min_per_class=2)
    return replace(splits, name=source.name)
