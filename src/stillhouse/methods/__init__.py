"""Methods, in folders by the map of the field: one file per paper; each returns a Stage."""

from stillhouse.methods.adversarial.adversarial_kd import adversarial_kd
from stillhouse.methods.catalogue import METHODS, find_method
from stillhouse.methods.feature.ab import ab
from stillhouse.methods.feature.at import at
from stillhouse.methods.feature.fitnet import fitnet
from stillhouse.methods.feature.fsp import fsp
from stillhouse.methods.feature.ft import ft
from stillhouse.methods.feature.mgd import mgd
from stillhouse.methods.feature.nst import nst
from stillhouse.methods.feature.ofd import ofd
from stillhouse.methods.feature.projector_logsum import projector_logsum
from stillhouse.methods.feature.review_kd import review_kd
from stillhouse.methods.feature.simkd import simkd
from stillhouse.methods.feature.srrl import srrl
from stillhouse.methods.feature.vid import vid
from stillhouse.methods.method import Method
from stillhouse.methods.offline.annealing_kd import annealing_kd
from stillhouse.methods.online.dml import dml
from stillhouse.methods.online.kdcl import kdcl
from stillhouse.methods.online.okddip import okddip
from stillhouse.methods.online.one import one
from stillhouse.methods.online.pcl import pcl
from stillhouse.methods.plain import plain
from stillhouse.methods.relation.cc_embedded import cc_embedded
from stillhouse.methods.relation.cc_rbf import cc_rbf
from stillhouse.methods.relation.crd import crd
from stillhouse.methods.relation.irg import irg
from stillhouse.methods.relation.pkt import pkt
from stillhouse.methods.relation.rkd import rkd
from stillhouse.methods.relation.sp import sp
from stillhouse.methods.response.deit import deit
from stillhouse.methods.response.dist import dist
from stillhouse.methods.response.dkd import dkd
from stillhouse.methods.response.kd import kd
from stillhouse.methods.response.logits_mse import logits_mse
from stillhouse.methods.response.nkd import nkd
from stillhouse.methods.response.standardised_kd import standardised_kd
from stillhouse.methods.self_distillation.byot import byot
from stillhouse.methods.self_distillation.cs_kd import cs_kd
from stillhouse.methods.self_distillation.ema_kd import ema_kd
from stillhouse.methods.self_distillation.ps_kd import ps_kd
from stillhouse.methods.self_distillation.snapshot_kd import snapshot_kd
from stillhouse.methods.several_teachers.multi_teacher_kd import multi_teacher_kd
from stillhouse.methods.sharing.embedding_kd import embedding_kd
from stillhouse.methods.sharing.th_kd import th_kd
from stillhouse.methods.teacher_free.label_smoothing import label_smoothing
from stillhouse.methods.teacher_free.tf_kd_reg import equivalent_smoothing, tf_kd_reg

__all__ = [
    "METHODS",
    "Method",
    "ab",
    "adversarial_kd",
    "annealing_kd",
    "at",
    "byot",
    "cc_embedded",
    "cc_rbf",
    "crd",
    "cs_kd",
    "deit",
    "dist",
    "dkd",
    "dml",
    "ema_kd",
    "embedding_kd",
    "equivalent_smoothing",
    "find_method",
    "fitnet",
    "fsp",
    "ft",
    "irg",
    "kd",
    "kdcl",
    "label_smoothing",
    "logits_mse",
    "mgd",
    "multi_teacher_kd",
    "nkd",
    "nst",
    "ofd",
    "okddip",
    "one",
    "pcl",
    "pkt",
    "plain",
    "projector_logsum",
    "ps_kd",
    "review_kd",
    "rkd",
    "simkd",
    "snapshot_kd",
    "sp",
    "srrl",
    "standardised_kd",
    "tf_kd_reg",
    "th_kd",
    "vid",
]
