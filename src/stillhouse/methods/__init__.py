"""Methods, in folders by the map of the field: one file per paper; each returns a Stage."""

from stillhouse.methods.catalogue import METHODS, find_method
from stillhouse.methods.feature.mgd import mgd
from stillhouse.methods.feature.ofd import ofd
from stillhouse.methods.feature.projector_logsum import projector_logsum
from stillhouse.methods.feature.review_kd import review_kd
from stillhouse.methods.feature.simkd import simkd
from stillhouse.methods.feature.srrl import srrl
from stillhouse.methods.feature.vid import vid
from stillhouse.methods.method import Method
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
    "embedding_kd",
    "equivalent_smoothing",
    "find_method",
    "kd",
    "label_smoothing",
    "mgd",
    "ofd",
    "plain",
    "projector_logsum",
    "review_kd",
    "rkd",
    "simkd",
    "srrl",
    "tf_kd_reg",
    "th_kd",
    "vid",
]
