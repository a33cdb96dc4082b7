"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.heads import match_width, mixture
from stillhouse.bridges.inference import MixtureHead, MixtureOfOutputs, folded, joined, with_head
from stillhouse.bridges.inputs import InputAdapter
from stillhouse.bridges.normalisation import (
    BatchStatistics,
    GroupStatistics,
    UnitLength,
    Whiten,
    normaliser,
)
from stillhouse.bridges.projectors import embedder, projector
from stillhouse.bridges.shapes import Connector, as_map, map_shape, resized
from stillhouse.bridges.shifts import layer_shift

__all__ = [
    "BatchStatistics",
    "Connector",
    "GroupStatistics",
    "InputAdapter",
    "MixtureHead",
    "MixtureOfOutputs",
    "UnitLength",
    "Whiten",
    "as_map",
    "embedder",
    "folded",
    "joined",
    "layer_shift",
    "map_shape",
    "match_width",
    "mixture",
    "normaliser",
    "projector",
    "resized",
    "with_head",
]
