"""Pure formulas, float32 inside, learner first: one value per example, or one in all for relations.

Relational losses, which compare examples with each other, give a single value, [].
"""

from stillhouse.functional.attention import attention_gap, factor_gap, selectivity_gap
from stillhouse.functional.embeddings import contrastive, cosine_distance, normalised_l2
from stillhouse.functional.features import boundary_gap, mse, smooth_l1
from stillhouse.functional.log_sum import log_correlation, log_sum
from stillhouse.functional.logits import cross_entropy, decoupled_kl, kl
from stillhouse.functional.relations import rkd_angle, rkd_distance
from stillhouse.functional.targets import smoothed_cross_entropy, virtual_kl

__all__ = [
    "attention_gap",
    "boundary_gap",
    "contrastive",
    "cosine_distance",
    "cross_entropy",
    "decoupled_kl",
    "factor_gap",
    "kl",
    "log_correlation",
    "log_sum",
    "mse",
    "normalised_l2",
    "rkd_angle",
    "rkd_distance",
    "selectivity_gap",
    "smooth_l1",
    "smoothed_cross_entropy",
    "virtual_kl",
]
