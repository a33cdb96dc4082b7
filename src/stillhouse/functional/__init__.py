"""Pure formulas, float32 inside, learner first: one value per example, or one in all for relations.

Relational losses, which compare examples with each other, give a single value, [].
"""

from stillhouse.functional.attention import attention_gap, factor_gap, selectivity_gap
from stillhouse.functional.contexts import hierarchical_context
from stillhouse.functional.correlations import correlation_gap, neighbour_products
from stillhouse.functional.decoupled import decoupled_kl, normalised_kl
from stillhouse.functional.embeddings import contrastive, cosine_distance, normalised_l2
from stillhouse.functional.features import (
    boundary_gap,
    mse,
    partial_distance,
    smooth_l1,
    squared_distance,
)
from stillhouse.functional.graphs import edge_gap, shift_gap
from stillhouse.functional.log_sum import log_correlation, log_sum
from stillhouse.functional.logits import cross_entropy, kl, standardised_kl
from stillhouse.functional.pearson import inter_class_correlation, intra_class_correlation
from stillhouse.functional.relations import rkd_angle, rkd_distance
from stillhouse.functional.similarities import cosine_kernel_kl, similarity_gap
from stillhouse.functional.targets import smoothed_cross_entropy, virtual_kl

__all__ = [
    "attention_gap",
    "boundary_gap",
    "contrastive",
    "correlation_gap",
    "cosine_distance",
    "cosine_kernel_kl",
    "cross_entropy",
    "decoupled_kl",
    "edge_gap",
    "factor_gap",
    "hierarchical_context",
    "inter_class_correlation",
    "intra_class_correlation",
    "kl",
    "log_correlation",
    "log_sum",
    "mse",
    "neighbour_products",
    "normalised_kl",
    "normalised_l2",
    "partial_distance",
    "rkd_angle",
    "rkd_distance",
    "selectivity_gap",
    "shift_gap",
    "similarity_gap",
    "smooth_l1",
    "smoothed_cross_entropy",
    "squared_distance",
    "standardised_kl",
    "virtual_kl",
]
