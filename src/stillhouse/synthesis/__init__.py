"""Synthesis: a transfer set from a trained classifier alone, without any of its data.

>>> from stillhouse.synthesis import synthesis_names
>>> "zero_shot" in synthesis_names()
True
"""

from stillhouse.synthesis.catalogue import SYNTHESES, make_maker, synthesis_names
from stillhouse.synthesis.deep_inversion import adi, deep_inversion
from stillhouse.synthesis.job import Synthesis, synthesize
from stillhouse.synthesis.maker import Maker
from stillhouse.synthesis.portrait import Portrait, make_portrait, read_portrait

__all__ = [
    "SYNTHESES",
    "Maker",
    "Portrait",
    "Synthesis",
    "adi",
    "deep_inversion",
    "make_maker",
    "make_portrait",
    "read_portrait",
    "synthesis_names",
    "synthesize",
]
