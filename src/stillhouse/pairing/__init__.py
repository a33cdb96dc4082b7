"""Pairing: which layers of two networks belong together, for any pair of networks."""

from stillhouse.pairing.levels import Level, heard_maps, levels
from stillhouse.pairing.match import in_order, likeness, nearness, propose
from stillhouse.pairing.paired import Pair, Pairs, paired, shown

__all__ = [
    "Level",
    "Pair",
    "Pairs",
    "heard_maps",
    "in_order",
    "levels",
    "likeness",
    "nearness",
    "paired",
    "propose",
    "shown",
]
