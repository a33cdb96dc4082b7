"""Every shipped recipe dry-runs: on its own data where it is at hand, with its own networks."""

from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse.data import load
from stillhouse.recipes import load_recipe
from stillhouse.runs.job import Objects, prepare
from stillhouse.runs.preflight import preflight

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_dry_runs(path: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    recipe = load_recipe(path)
    objects = None
    if recipe.data.source != "digits":
        source = Path(recipe.data.source)
        if not source.is_dir():
            pytest.skip(f"{source} is not beside this checkout")
        objects = Objects(data=_few_rows(source, recipe))
    job = prepare(recipe, tmp_path / "run", objects=objects)
    found = preflight(job)
    assert {line.name for line in found.terms} >= {"label"}
    assert sum(line.gradient_share for line in found.terms) == pytest.approx(1.0)
    assert not (tmp_path / "run").exists()


def _few_rows(source: Path, recipe):
    """The real test images alone (decoding 60,000 takes a while), as train and test."""
    parquet = next(iter(sorted(source.glob("test-*.parquet"))))
    splits = load(str(parquet), validation=0.05, test=0.05)
    return replace(splits, name=source.name)
