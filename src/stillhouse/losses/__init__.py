"""Losses with parameters or memory: modules with the call of a formula, learner first.

What they learn or remember is in parameters and buffers, so that a checkpoint holds it. One line
makes a loss known: its import below.
"""

from torch import nn

from stillhouse.losses.gaussian import GaussianNLL as GaussianNLL
from stillhouse.losses.memory import MemoryContrast as MemoryContrast
from stillhouse.losses.memory import PastPredictions as PastPredictions

LOSSES: tuple[type[nn.Module], ...] = tuple(
    value for _name, value in sorted(globals().items()) if isinstance(value, type)
)
"""All of them, by name: the classes that are named above."""
