"""Runs: a recipe on its data, from an empty directory to a verdict."""
