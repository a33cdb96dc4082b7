"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.heads import match_width, mixture
from stillhouse.bridges.inputs import InputAdapter
from stillhouse.bridges.normalisation import (
    BatchStatistics,
    GroupStatistics,
    UnitLength,
    Whiten,
    normaliser,
)
from stillhouse.bridges.projectors import projector

__all__ = [
    "BatchStatistics",
    "GroupStatistics",
    "InputAdapter",
    "UnitLength",
    "Whiten",
    "match_width",
    "mixture",
    "normaliser",
    "projector",
]
