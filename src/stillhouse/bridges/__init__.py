"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.generators import ChannelMask, masked_generator
from stillhouse.bridges.heads import match_width, mixture
from stillhouse.bridges.inference import MixtureHead, Tapped, folded, joined, with_head
from stillhouse.bridges.inputs import InputAdapter
from stillhouse.bridges.maps import (
    AtSize,
    PositionMean,
    at_smaller_size,
    bottleneck,
    mean_network,
    regressor,
    smaller_size,
)
from stillhouse.bridges.margins import MarginReLU, batch_norm_margin, observed_margin
from stillhouse.bridges.normalisation import (
    BatchStatistics,
    GroupStatistics,
    UnitLength,
    Whiten,
    normaliser,
)
from stillhouse.bridges.projectors import projector
from stillhouse.bridges.reviews import Fusion, reviewer
from stillhouse.bridges.shapes import Connector, as_map, map_shape, resized

__all__ = [
    "AtSize",
    "BatchStatistics",
    "ChannelMask",
    "Connector",
    "Fusion",
    "GroupStatistics",
    "InputAdapter",
    "MarginReLU",
    "MixtureHead",
    "PositionMean",
    "Tapped",
    "UnitLength",
    "Whiten",
    "as_map",
    "at_smaller_size",
    "batch_norm_margin",
    "bottleneck",
    "folded",
    "joined",
    "map_shape",
    "masked_generator",
    "match_width",
    "mean_network",
    "mixture",
    "normaliser",
    "observed_margin",
    "projector",
    "regressor",
    "resized",
    "reviewer",
    "smaller_size",
    "with_head",
]
