"""Pure formulas, one value per example, float32 inside, learner first."""

from stillhouse.functional.features import mse
from stillhouse.functional.logits import cross_entropy, kl

__all__ = ["cross_entropy", "kl", "mse"]
