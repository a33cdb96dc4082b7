"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.heads import match_width, mixture
from stillhouse.bridges.inputs import InputAdapter

__all__ = ["InputAdapter", "match_width", "mixture"]
