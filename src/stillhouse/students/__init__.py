"""Ways to make a student out of a teacher: thinner, factorised, pruned, or of shared weights."""

from stillhouse.students.depthwise import depthwise
from stillhouse.students.derived import Change, DerivedModel, UnchangedLayer
from stillhouse.students.fresh import fresh_
from stillhouse.students.low_rank import low_rank
from stillhouse.students.measures import Measures, conditions, measured
from stillhouse.students.pruning import prune
from stillhouse.students.shared import codebooks, is_shared, shared, unshared, with_codebooks
from stillhouse.students.thinner import thinner

__all__ = [
    "Change",
    "DerivedModel",
    "Measures",
    "UnchangedLayer",
    "codebooks",
    "conditions",
    "depthwise",
    "fresh_",
    "is_shared",
    "low_rank",
    "measured",
    "prune",
    "shared",
    "thinner",
    "unshared",
    "with_codebooks",
]
