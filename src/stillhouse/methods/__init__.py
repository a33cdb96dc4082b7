"""Methods: one file per paper; each returns a Stage and holds no engine code."""

from stillhouse.methods.catalogue import METHODS, Method, find_method
from stillhouse.methods.dkd import dkd
from stillhouse.methods.embedding_kd import embedding_kd
from stillhouse.methods.kd import kd
from stillhouse.methods.label_smoothing import label_smoothing
from stillhouse.methods.plain import plain
from stillhouse.methods.projector_logsum import projector_logsum
from stillhouse.methods.rkd import rkd
from stillhouse.methods.tf_kd_reg import equivalent_smoothing, tf_kd_reg
from stillhouse.methods.th_kd import th_kd

__all__ = [
    "METHODS",
    "Method",
    "dkd",
    "embedding_kd",
    "equivalent_smoothing",
    "find_method",
    "kd",
    "label_smoothing",
    "plain",
    "projector_logsum",
    "rkd",
    "tf_kd_reg",
    "th_kd",
]
