"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.ensembles import (
    best_logits,
    least_logits,
    linear_logits,
    mean_logits,
    mean_of_softmaxes,
)
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
from stillhouse.bridges.tails import shuffled, tail_of, with_tap

__all__ = [
    "BatchStatistics",
    "Connector",
    "GroupStatistics",
    "InputAdapter",
    "MixtureHead",
    "UnitLength",
    "Whiten",
    "as_map",
    "best_logits",
    "folded",
    "joined",
    "least_logits",
    "linear_logits",
    "map_shape",
    "match_width",
    "mean_logits",
    "mean_of_softmaxes",
    "mixture",
    "normaliser",
    "projector",
    "resized",
    "shuffled",
    "tail_of",
    "with_head",
    "with_tap",
]
