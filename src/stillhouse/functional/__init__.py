"""Pure formulas, float32 inside, learner first: one value per example, or one in all for relations.

Relational losses, which compare examples with each other, give a single value, []. One line makes a
loss known: its import below. `LOSSES`, the listing and the contract suite find it from there.
"""

import inspect
from collections.abc import Callable

from torch import Tensor

from stillhouse.functional.attention import attention_gap as attention_gap
from stillhouse.functional.attention import factor_gap as factor_gap
from stillhouse.functional.attention import selectivity_gap as selectivity_gap
from stillhouse.functional.decoupled import decoupled_kl as decoupled_kl
from stillhouse.functional.decoupled import normalised_kl as normalised_kl
from stillhouse.functional.embeddings import contrastive as contrastive
from stillhouse.functional.embeddings import cosine_distance as cosine_distance
from stillhouse.functional.embeddings import normalised_l2 as normalised_l2
from stillhouse.functional.features import boundary_gap as boundary_gap
from stillhouse.functional.features import hierarchical_context as hierarchical_context
from stillhouse.functional.features import mse as mse
from stillhouse.functional.features import partial_distance as partial_distance
from stillhouse.functional.features import smooth_l1 as smooth_l1
from stillhouse.functional.features import squared_distance as squared_distance
from stillhouse.functional.log_sum import log_correlation as log_correlation
from stillhouse.functional.log_sum import log_sum as log_sum
from stillhouse.functional.logits import cross_entropy as cross_entropy
from stillhouse.functional.logits import kl as kl
from stillhouse.functional.logits import standardised_kl as standardised_kl
from stillhouse.functional.maps import channel_kl as channel_kl
from stillhouse.functional.maps import pearson_map_gap as pearson_map_gap
from stillhouse.functional.pearson import inter_class_correlation as inter_class_correlation
from stillhouse.functional.pearson import intra_class_correlation as intra_class_correlation
from stillhouse.functional.relations import edge_gap as edge_gap
from stillhouse.functional.relations import rkd_angle as rkd_angle
from stillhouse.functional.relations import rkd_distance as rkd_distance
from stillhouse.functional.relations import shift_gap as shift_gap
from stillhouse.functional.similarities import correlation_gap as correlation_gap
from stillhouse.functional.similarities import cosine_kernel_kl as cosine_kernel_kl
from stillhouse.functional.similarities import neighbour_products as neighbour_products
from stillhouse.functional.similarities import similarity_gap as similarity_gap
from stillhouse.functional.targets import smoothed_cross_entropy as smoothed_cross_entropy
from stillhouse.functional.targets import virtual_kl as virtual_kl

LOSSES: tuple[Callable[..., Tensor], ...] = tuple(
    value for _name, value in sorted(globals().items()) if inspect.isfunction(value)
)
"""All of them, by name: the functions that are named above."""
