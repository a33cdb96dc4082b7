"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.heads import match_width, mixture

__all__ = ["match_width", "mixture"]
