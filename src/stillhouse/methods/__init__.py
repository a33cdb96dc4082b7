"""Methods, in folders by the map of the field: one file per paper; each returns a Stage."""

from stillhouse.methods.adversarial.adversarial_kd import adversarial_kd
from stillhouse.methods.catalogue import METHODS, find_method
from stillhouse.methods.feature.projector_logsum import projector_logsum
from stillhouse.methods.method import Method
from stillhouse.methods.plain import plain
from stillhouse.methods.relation.rkd import rkd
from stillhouse.methods.response.dkd import dkd
from stillhouse.methods.response.kd import kd
from stillhouse.methods.self_distillation.byot import byot
from stillhouse.methods.self_distillation.cs_kd import cs_kd
from stillhouse.methods.self_distillation.ema_kd import ema_kd
from stillhouse.methods.self_distillation.ps_kd import ps_kd
from stillhouse.methods.self_distillation.snapshot_kd import snapshot_kd
from stillhouse.methods.sharing.embedding_kd import embedding_kd
from stillhouse.methods.sharing.th_kd import th_kd
from stillhouse.methods.teacher_free.label_smoothing import label_smoothing
from stillhouse.methods.teacher_free.tf_kd_reg import equivalent_smoothing, tf_kd_reg

__all__ = [
    "METHODS",
    "Method",
    "adversarial_kd",
    "byot",
    "cs_kd",
    "dkd",
    "ema_kd",
    "embedding_kd",
    "equivalent_smoothing",
    "find_method",
    "kd",
    "label_smoothing",
    "plain",
    "projector_logsum",
    "ps_kd",
    "rkd",
    "snapshot_kd",
    "tf_kd_reg",
    "th_kd",
]
