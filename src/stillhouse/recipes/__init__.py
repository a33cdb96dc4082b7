"""Recipes: a run as data. Checked in full before anything happens."""

from stillhouse.recipes.load import load_recipe, make_recipe, override, read_yaml
from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.recipes.study import Study, is_study, load_study, make_study, override_study

__all__ = [
    "Recipe",
    "Study",
    "is_study",
    "load_recipe",
    "load_study",
    "make_recipe",
    "make_study",
    "override",
    "override_study",
    "read_yaml",
    "resolved",
]
