"""Pure formulas, float32 inside, learner first: one value per example, or one in all for relations.

Relational losses, which compare examples with each other, give a single value, [].
"""

from stillhouse.functional.contexts import hierarchical_context
from stillhouse.functional.embeddings import contrastive, cosine_distance, normalised_l2
from stillhouse.functional.features import mse, partial_distance, smooth_l1, squared_distance
from stillhouse.functional.log_sum import log_correlation, log_sum
from stillhouse.functional.logits import cross_entropy, decoupled_kl, kl
from stillhouse.functional.relations import rkd_angle, rkd_distance
from stillhouse.functional.targets import smoothed_cross_entropy, virtual_kl

__all__ = [
    "contrastive",
    "cosine_distance",
    "cross_entropy",
    "decoupled_kl",
    "hierarchical_context",
    "kl",
    "log_correlation",
    "log_sum",
    "mse",
    "normalised_l2",
    "partial_distance",
    "rkd_angle",
    "rkd_distance",
    "smooth_l1",
    "smoothed_cross_entropy",
    "squared_distance",
    "virtual_kl",
]
