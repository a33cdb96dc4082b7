"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.factors import factor_decoder, factor_encoder
from stillhouse.bridges.flows import flow
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
from stillhouse.bridges.projectors import projector
from stillhouse.bridges.shapes import Connector, as_map, map_shape, resized

__all__ = [
    "BatchStatistics",
    "Connector",
    "GroupStatistics",
    "InputAdapter",
    "MixtureHead",
    "UnitLength",
    "Whiten",
    "as_map",
    "factor_decoder",
    "factor_encoder",
    "flow",
    "folded",
    "joined",
    "map_shape",
    "match_width",
    "mixture",
    "normaliser",
    "projector",
    "resized",
    "with_head",
]
