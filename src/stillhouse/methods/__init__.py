"""Methods, in folders by the map of the field: one file per paper; each returns a Stage.

One line makes a method known: its import below, beside those of its family. `METHODS`, recipes,
listings and the contract suite find it from there.
"""
# ruff: noqa: I001  (in the order of the listing)

from stillhouse.errors import RecipeError, nearest
from stillhouse.methods.method import Method as Method, methods_among

from stillhouse.methods.plain import plain as plain

from stillhouse.methods.response.kd import kd as kd
from stillhouse.methods.response.logits_mse import logits_mse as logits_mse
from stillhouse.methods.response.dkd import dkd as dkd
from stillhouse.methods.response.dist import dist as dist
from stillhouse.methods.response.nkd import nkd as nkd
from stillhouse.methods.response.standardised_kd import standardised_kd as standardised_kd
from stillhouse.methods.response.deit import deit as deit
from stillhouse.methods.response.token_kd import token_kd as token_kd

from stillhouse.methods.feature.fitnet import fitnet as fitnet
from stillhouse.methods.feature.at import at as at
from stillhouse.methods.feature.nst import nst as nst
from stillhouse.methods.feature.fsp import fsp as fsp
from stillhouse.methods.feature.ab import ab as ab
from stillhouse.methods.feature.ft import ft as ft
from stillhouse.methods.feature.mgd import mgd as mgd
from stillhouse.methods.feature.ofd import ofd as ofd
from stillhouse.methods.feature.projector_logsum import projector_logsum as projector_logsum
from stillhouse.methods.feature.review_kd import review_kd as review_kd
from stillhouse.methods.feature.simkd import simkd as simkd
from stillhouse.methods.feature.srrl import srrl as srrl
from stillhouse.methods.feature.vid import vid as vid
from stillhouse.methods.feature.cwd import cwd as cwd
from stillhouse.methods.feature.pkd import pkd as pkd
from stillhouse.methods.feature.fgd import fgd as fgd
from stillhouse.methods.feature.vkd import vkd as vkd

from stillhouse.methods.relation.rkd import rkd as rkd
from stillhouse.methods.relation.sp import sp as sp
from stillhouse.methods.relation.pkt import pkt as pkt
from stillhouse.methods.relation.cc_rbf import cc_rbf as cc_rbf
from stillhouse.methods.relation.cc_embedded import cc_embedded as cc_embedded
from stillhouse.methods.relation.irg import irg as irg
from stillhouse.methods.relation.crd import crd as crd

from stillhouse.methods.self_distillation.byot import byot as byot
from stillhouse.methods.self_distillation.cs_kd import cs_kd as cs_kd
from stillhouse.methods.self_distillation.ema_kd import ema_kd as ema_kd
from stillhouse.methods.self_distillation.ps_kd import ps_kd as ps_kd
from stillhouse.methods.self_distillation.snapshot_kd import snapshot_kd as snapshot_kd

from stillhouse.methods.sharing.embedding_kd import embedding_kd as embedding_kd
from stillhouse.methods.sharing.th_kd import th_kd as th_kd

from stillhouse.methods.offline.annealing_kd import annealing_kd as annealing_kd

from stillhouse.methods.several_teachers.multi_teacher_kd import (
    multi_teacher_kd as multi_teacher_kd,
)

from stillhouse.methods.teacher_free.label_smoothing import label_smoothing as label_smoothing
from stillhouse.methods.teacher_free.tf_kd_reg import tf_kd_reg as tf_kd_reg
from stillhouse.methods.teacher_free.tf_kd_reg import equivalent_smoothing as equivalent_smoothing

from stillhouse.methods.online.dml import dml as dml
from stillhouse.methods.online.kdcl import kdcl as kdcl
from stillhouse.methods.online.one import one as one
from stillhouse.methods.online.pcl import pcl as pcl
from stillhouse.methods.online.okddip import okddip as okddip

from stillhouse.methods.adversarial.adversarial_kd import adversarial_kd as adversarial_kd

METHODS = methods_among(globals())
"""All of them, in the order of their lines."""


def find_method(name: str) -> Method:
    """The method of that name. Raises RecipeError with the nearest names when there is none.

    >>> find_method("kd").needs_teacher
    True
    """
    for method in METHODS:
        if method.name == name:
            return method
    names = [method.name for method in METHODS]
    raise RecipeError("method", [f"no method '{name}'; {nearest(name, names)}"])
