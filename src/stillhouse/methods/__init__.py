"""Methods, in folders by the map of the field: one file per paper; each returns a Stage."""

from stillhouse.methods.catalogue import METHODS, find_method
from stillhouse.methods.feature.projector_logsum import projector_logsum
from stillhouse.methods.method import Method
from stillhouse.methods.online.dml import dml
from stillhouse.methods.online.kdcl import kdcl
from stillhouse.methods.online.okddip import okddip
from stillhouse.methods.online.one import one
from stillhouse.methods.online.pcl import pcl
from stillhouse.methods.plain import plain
from stillhouse.methods.relation.rkd import rkd
from stillhouse.methods.response.dkd import dkd
from stillhouse.methods.response.kd import kd
from stillhouse.methods.sharing.embedding_kd import embedding_kd
from stillhouse.methods.sharing.th_kd import th_kd
from stillhouse.methods.teacher_free.label_smoothing import label_smoothing
from stillhouse.methods.teacher_free.tf_kd_reg import equivalent_smoothing, tf_kd_reg

__all__ = [
    "METHODS",
    "Method",
    "dkd",
    "dml",
    "embedding_kd",
    "equivalent_smoothing",
    "find_method",
    "kd",
    "kdcl",
    "label_smoothing",
    "okddip",
    "one",
    "pcl",
    "plain",
    "projector_logsum",
    "rkd",
    "tf_kd_reg",
    "th_kd",
]
