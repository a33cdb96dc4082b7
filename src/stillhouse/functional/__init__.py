"""Pure formulas, float32 inside, learner first: one value per example, or one in all for relations.

Relational losses, which compare examples with each other, give a single value, [].
"""

from stillhouse.functional.correlations import inter_class_correlation, intra_class_correlation
from stillhouse.functional.decoupled import decoupled_kl, normalised_kl
from stillhouse.functional.embeddings import contrastive, cosine_distance, normalised_l2
from stillhouse.functional.features import mse, smooth_l1
from stillhouse.functional.log_sum import log_correlation, log_sum
from stillhouse.functional.logits import cross_entropy, kl, standardised_kl
from stillhouse.functional.relations import rkd_angle, rkd_distance
from stillhouse.functional.targets import smoothed_cross_entropy, virtual_kl

__all__ = [
    "contrastive",
    "cosine_distance",
    "cross_entropy",
    "decoupled_kl",
    "inter_class_correlation",
    "intra_class_correlation",
    "kl",
    "log_correlation",
    "log_sum",
    "mse",
    "normalised_kl",
    "normalised_l2",
    "rkd_angle",
    "rkd_distance",
    "smooth_l1",
    "smoothed_cross_entropy",
    "standardised_kl",
    "virtual_kl",
]
