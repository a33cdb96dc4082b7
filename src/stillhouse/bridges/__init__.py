"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.critics import Critic
from stillhouse.bridges.exits import ExitBranch, classifier
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
    "Critic",
    "ExitBranch",
    "GroupStatistics",
    "InputAdapter",
    "MixtureHead",
    "UnitLength",
    "Whiten",
    "as_map",
    "classifier",
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
