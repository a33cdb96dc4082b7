"""Recipes: shorthands, overrides, and every problem in the user's own words."""

import re
from pathlib import Path

import pytest
import yaml

from stillhouse.engine.schedules import schedule_names
from stillhouse.errors import RecipeError
from stillhouse.methods import METHODS
from stillhouse.recipes import load_recipe, make_recipe, override, resolved
from stillhouse.records.local_copies import LocalCopies
from stillhouse.records.plain_yaml import read_yaml_text

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*.yaml"))
SMALL = {"data": "digits", "teacher": "resnet8", "student": "resnet8"}


def problems(values: dict) -> str:
    with pytest.raises(RecipeError) as caught:
        make_recipe(values)
    return str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_recipes_are_valid_and_short(path: Path) -> None:
    recipe = load_recipe(path)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) <= 12
    assert make_recipe(resolved(recipe)) == recipe, "what is written out says the same"


def test_the_resolved_recipe_is_plain_yaml_with_every_default() -> None:
    text = yaml.safe_dump(resolved(make_recipe(SMALL)))
    again = make_recipe(yaml.safe_load(text))
    assert again.optimizer.momentum == 0.9
    assert again == make_recipe(SMALL)


def test_shorthands() -> None:
    recipe = make_recipe({**SMALL, "seeds": 2, "data": {"source": "x", "augment": ["crop"]}})
    assert recipe.seeds == (0, 1)
    assert recipe.data.augment.crop == 4
    assert not recipe.data.augment.flip
    none = make_recipe({**SMALL, "data": {"source": "x", "augment": "none"}}).data.augment
    assert (none.crop, none.flip, none.cutout) == (0, False, 0)


def test_overrides_reach_into_shorthands_and_defaults() -> None:
    values = override(
        SMALL, ["data.limit=10", "optimizer.lr=0.5", "method.temperature=2", "epochs=1"]
    )
    recipe = make_recipe(values)
    assert (recipe.data.source, recipe.data.limit) == ("digits", 10)
    assert (recipe.optimizer.name, recipe.optimizer.lr) == ("sgd", 0.5)
    assert recipe.method.temperature == 2
    assert SMALL["data"] == "digits", "the values given are left alone"


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_the_signature_of_a_method_is_its_schema(method) -> None:
    recipe = make_recipe({**SMALL, "method": method.name})
    assert recipe.method.settings() == {k: p.default for k, p in method.settings.items()}
    assert "no key 'method.nonsense'" in problems(
        {**SMALL, "method": {"name": method.name, "nonsense": 1}}
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"method": {"temperature": 2}}, "'method' does not say which"),
        ({"method": {"name": "kd", "temperature": 0}}, "'method.temperature' is 0"),
        (
            {"optimizer": {"name": "adamw", "betas": [0.9]}},
            "'optimizer.betas' has too few values; value 2 of it is missing",
        ),
        (
            {"schedule": {"name": "multi_step", "milestones": []}},
            "'schedule.milestones' is []; it must have at least 1 item",
        ),
        (
            {"data": {"source": "d", "augment": {"crop": 1e30}}},
            "'data.augment.crop' is 1e+30; it is too large a whole number; give a smaller one",
        ),
        (
            {"student": {"model": "resnet8", "start": ""}},
            "'student.start' is ''; it must have at least 1 character",
        ),
        ({"data": {"source": "d", "augment": ["crup"]}}, "no augmentation 'crup'; nearest: crop"),
        ({"data": {"source": "d", "augment": {"crop": -1}}}, "'data.augment.crop' is -1"),
        (
            {"data": {"source": "d", "augment": ["crop", "resized_crop"]}},
            "data.augment: crop and resized_crop both cut",
        ),
        ({"data": {"source": "d", "augment": ["trivial", "randaugment"]}}, "give one"),
        (
            {"data": {"source": "d", "augment": {"magnitude": 5}}},
            "magnitude is of randaugment, which is off",
        ),
        (
            {"transfer": {"count": 10, "augment": ["jitter"]}},
            "brightness, contrast, saturation, hue change the colours of pixels, and a transfer",
        ),
        ({"data": {"source": "d", "augment": {"hue": 0.6}}}, "'data.augment.hue' is 0.6"),
        ({"data": {"limit": 3}}, "'data.source' is missing"),
        ({"teacher": None}, "method 'kd' needs a teacher"),
        ({"schedule": "cosin"}, "nearest: cosine"),
        ({"optimizer": {"name": "sgd", "lr": "fast"}}, "'optimizer.lr' is 'fast'"),
        ({"device": 3}, "'device' is 3"),
        ({"seeds": []}, "seeds"),
        ({"cache": "sometimes"}, "'cache.use' is 'sometimes'"),
        ({"cache": {"dtype": {"logits": "float61"}}}, "'cache.dtype.logits' is 'float61'"),
        ({"cache": {"use": "auto", "top": 5}}, "write use: always"),
        ({"data": {"source": "d", "image": []}}, "a word or a whole number"),
        ({"optimizer": "ADAMX"}, "nearest: adam"),
        ({"method": "plain", "cache": "always"}, "'plain' has no teacher to record"),
    ],
)
def test_a_problem_names_its_key(change: dict, expected: str) -> None:
    assert expected in problems({**SMALL, **change})


def test_cache_takes_yes_and_no_which_yaml_reads_as_truth_values() -> None:
    assert make_recipe({**SMALL, "cache": False}).cache.use == "never"
    assert make_recipe({**SMALL, "cache": True}).cache.use == "always"
    assert make_recipe({**SMALL, "cache": {"dtype": "float16"}}).cache.use == "always"
    assert make_recipe(SMALL).cache.use == "auto"


def test_cache_takes_paths_and_addresses(tmp_path: Path) -> None:
    def place(directory: object) -> object:
        given = {"directory": directory, "local": "/copies", "local_gb": 0.5}
        recipe = make_recipe({**SMALL, "cache": given})
        assert resolved(recipe)["cache"]["directory"] == str(directory)
        return recipe.cache.place

    assert place("runs/cache") == Path("runs/cache")
    assert place(tmp_path) == tmp_path
    assert place(f"file://{tmp_path}") == tmp_path
    there = place("s3://bucket/a")
    assert str(there) == "s3://bucket/a"
    assert there.copies == LocalCopies(Path("/copies"), 500_000_000)
    assert make_recipe(SMALL).cache.place is None


def test_what_the_docs_say_of_optimisers_and_schedules() -> None:
    text = (Path(__file__).parents[2] / "docs/recipes.md").read_text()
    (block,) = re.findall(r"```yaml\n(optimizer.*?)```", text, re.DOTALL)
    recipe = make_recipe({**SMALL, **read_yaml_text(block, where="docs")})
    assert recipe.optimizer.no_decay == ("norms", "biases")
    told = re.findall(r"^\| `(\w+)`.*\|$", text.split("## Schedules")[1], re.MULTILINE)
    assert sorted(told) == sorted(schedule_names())
