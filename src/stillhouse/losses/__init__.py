"""Losses with parameters or memory: modules with the call of a formula, learner first.

What they learn or remember is in parameters and buffers, so that a checkpoint holds it.
"""

from stillhouse.losses.gaussian import GaussianNLL
from stillhouse.losses.memory_contrast import MemoryContrast
from stillhouse.losses.past import PastPredictions

__all__ = ["GaussianNLL", "MemoryContrast", "PastPredictions"]
