"""Methods, in folders by the map of the field: one file per paper; each returns a Stage."""

from stillhouse.methods.catalogue import METHODS, find_method
from stillhouse.methods.feature.ab import ab
from stillhouse.methods.feature.at import at
from stillhouse.methods.feature.fitnet import fitnet
from stillhouse.methods.feature.fsp import fsp
from stillhouse.methods.feature.ft import ft
from stillhouse.methods.feature.nst import nst
from stillhouse.methods.feature.projector_logsum import projector_logsum
from stillhouse.methods.method import Method
from stillhouse.methods.plain import plain
from stillhouse.methods.relation.rkd import rkd
from stillhouse.methods.response.dkd import dkd
from stillhouse.methods.response.kd import kd
from stillhouse.methods.several_teachers.multi_teacher_kd import multi_teacher_kd
from stillhouse.methods.sharing.embedding_kd import embedding_kd
from stillhouse.methods.sharing.th_kd import th_kd
from stillhouse.methods.teacher_free.label_smoothing import label_smoothing
from stillhouse.methods.teacher_free.tf_kd_reg import equivalent_smoothing, tf_kd_reg

__all__ = [
    "METHODS",
    "Method",
    "ab",
    "at",
    "dkd",
    "embedding_kd",
    "equivalent_smoothing",
    "find_method",
    "fitnet",
    "fsp",
    "ft",
    "kd",
    "label_smoothing",
    "multi_teacher_kd",
    "nst",
    "plain",
    "projector_logsum",
    "rkd",
    "tf_kd_reg",
    "th_kd",
]
