"""Pairing: which layers of two networks belong together, for any pair of networks."""

from stillhouse.pairing.heard import HeardMap, hear
from stillhouse.pairing.last import (
    check_pooled,
    check_rectified,
    heard_of_teacher,
    last_map,
    with_last_maps,
)
from stillhouse.pairing.levels import Level, heard_maps, levels
from stillhouse.pairing.match import ProposedPair, in_order, likeness, nearness, proposals, propose
from stillhouse.pairing.paired import (
    Pair,
    Pairs,
    as_map_tap,
    image_shown,
    looked_at,
    paired,
    shown,
)
from stillhouse.pairing.preactivations import before_relu, unactivated

__all__ = [
    "HeardMap",
    "Level",
    "Pair",
    "Pairs",
    "ProposedPair",
    "as_map_tap",
    "before_relu",
    "check_pooled",
    "check_rectified",
    "hear",
    "heard_maps",
    "heard_of_teacher",
    "image_shown",
    "in_order",
    "last_map",
    "levels",
    "likeness",
    "looked_at",
    "nearness",
    "paired",
    "proposals",
    "propose",
    "shown",
    "unactivated",
    "with_last_maps",
]
