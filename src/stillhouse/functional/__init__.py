"""Pure formulas, float32 inside, learner first: one value per example, or one in all for relations.

Relational losses, which compare examples with each other, give a single value, [].
"""

from stillhouse.functional.features import mse
from stillhouse.functional.logits import cross_entropy, decoupled_kl, kl
from stillhouse.functional.relations import rkd_angle, rkd_distance

__all__ = ["cross_entropy", "decoupled_kl", "kl", "mse", "rkd_angle", "rkd_distance"]
