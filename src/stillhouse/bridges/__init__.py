"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.heads import match_width, mixture
from stillhouse.bridges.inference import MixtureHead, folded, joined, with_head
from stillhouse.bridges.inputs import InputAdapter
from stillhouse.bridges.normalisation import (
    BatchStatistics,
    GroupStatistics,
    UnitLength,
    Whiten,
    normaliser,
)
from stillhouse.bridges.projectors import embedder, projector

__all__ = [
    "BatchStatistics",
    "GroupStatistics",
    "InputAdapter",
    "MixtureHead",
    "UnitLength",
    "Whiten",
    "embedder",
    "folded",
    "joined",
    "match_width",
    "mixture",
    "normaliser",
    "projector",
    "with_head",
]
