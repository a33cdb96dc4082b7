"""Self-distillation: a network learns from itself, as it was or as it is deeper inside."""

from stillhouse.methods.method import Method
from stillhouse.methods.self_distillation.cs_kd import cs_kd

METHODS = (Method(cs_kd, paper="Yun et al. 2020, arXiv 2003.13964"),)
