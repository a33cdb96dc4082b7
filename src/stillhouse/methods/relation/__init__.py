"""Relation knowledge: how samples, or layers, stand to each other."""

from stillhouse.methods.method import Method
from stillhouse.methods.relation.rkd import rkd

METHODS = (Method(rkd, paper="Park et al. 2019, arXiv 1904.05068"),)
