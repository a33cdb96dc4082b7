"""Bridges: modules that derive one signal from others."""

from stillhouse.bridges.critics import Critic
from stillhouse.bridges.ensembles import (
    best_logits,
    least_logits,
    linear_logits,
    mean_logits,
    mean_of_softmaxes,
)
from stillhouse.bridges.exits import ExitBranch, classifier
from stillhouse.bridges.factors import factor_decoder, factor_encoder
from stillhouse.bridges.flows import flow
from stillhouse.bridges.generators import ChannelMask, masked_generator
from stillhouse.bridges.heads import match_width, mixture
from stillhouse.bridges.inference import (
    MixtureHead,
    MixtureOfOutputs,
    Tapped,
    folded,
    joined,
    with_head,
)
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
from stillhouse.bridges.projectors import embedder, projector
from stillhouse.bridges.reviews import Fusion, reviewer
from stillhouse.bridges.shapes import Connector, as_map, map_shape, resized
from stillhouse.bridges.shifts import layer_shift
from stillhouse.bridges.tails import shuffled, tail_of, with_tap

__all__ = [
    "AtSize",
    "BatchStatistics",
    "ChannelMask",
    "Connector",
    "Critic",
    "ExitBranch",
    "Fusion",
    "GroupStatistics",
    "InputAdapter",
    "MarginReLU",
    "MixtureHead",
    "MixtureOfOutputs",
    "PositionMean",
    "Tapped",
    "UnitLength",
    "Whiten",
    "as_map",
    "at_smaller_size",
    "batch_norm_margin",
    "best_logits",
    "bottleneck",
    "classifier",
    "embedder",
    "factor_decoder",
    "factor_encoder",
    "flow",
    "folded",
    "joined",
    "layer_shift",
    "least_logits",
    "linear_logits",
    "map_shape",
    "masked_generator",
    "match_width",
    "mean_logits",
    "mean_network",
    "mean_of_softmaxes",
    "mixture",
    "normaliser",
    "observed_margin",
    "projector",
    "regressor",
    "resized",
    "reviewer",
    "shuffled",
    "smaller_size",
    "tail_of",
    "with_head",
    "with_tap",
]
