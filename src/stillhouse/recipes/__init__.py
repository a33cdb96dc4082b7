"""Recipes: a run as data. Checked in full before anything happens."""

from stillhouse.recipes.load import load_recipe, make_recipe, override, read_yaml
from stillhouse.recipes.schema import Recipe, resolved

__all__ = ["Recipe", "load_recipe", "make_recipe", "override", "read_yaml", "resolved"]
