"""Pairing: which layers of two networks belong together, for any pair of networks."""

from stillhouse.pairing.boundaries import before_relu
from stillhouse.pairing.levels import Level, heard_maps, levels
from stillhouse.pairing.match import in_order, likeness, nearness, propose
from stillhouse.pairing.paired import Pair, Pairs, paired

__all__ = [
    "Level",
    "Pair",
    "Pairs",
    "before_relu",
    "heard_maps",
    "in_order",
    "levels",
    "likeness",
    "nearness",
    "paired",
    "propose",
]
