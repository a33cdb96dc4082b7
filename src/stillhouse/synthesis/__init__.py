"""Synthesis: a transfer set from a trained classifier alone, without any of its data.

>>> from stillhouse.synthesis import synthesis_names
>>> "zero_shot" in synthesis_names()
True
"""

from stillhouse.synthesis.catalogue import SYNTHESES, make_maker, synthesis_names
from stillhouse.synthesis.deep_inversion import adi, deep_inversion
from stillhouse.synthesis.gallery import Gallery, make_gallery, read_gallery
from stillhouse.synthesis.job import Synthesis, synthesize
from stillhouse.synthesis.maker import Maker

__all__ = [
    "SYNTHESES",
    "Gallery",
    "Maker",
    "Synthesis",
    "adi",
    "deep_inversion",
    "make_gallery",
    "make_maker",
    "read_gallery",
    "synthesis_names",
    "synthesize",
]
