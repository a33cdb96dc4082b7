"""Pairing: which layers of two networks belong together, for any pair of networks."""

from stillhouse.pairing.levels import Level, heard_maps, levels
from stillhouse.pairing.match import in_order, likeness, nearness, propose
from stillhouse.pairing.paired import Pair, Pairs, paired
from stillhouse.pairing.proposal import ProposedPair, proposals

__all__ = [
    "Level",
    "Pair",
    "Pairs",
    "ProposedPair",
    "heard_maps",
    "in_order",
    "levels",
    "likeness",
    "nearness",
    "paired",
    "proposals",
    "propose",
]
