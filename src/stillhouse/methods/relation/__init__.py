"""Relation knowledge: how samples, or layers, stand to each other."""

from stillhouse.methods.method import Method
from stillhouse.methods.relation.cc_embedded import cc_embedded
from stillhouse.methods.relation.cc_rbf import cc_rbf
from stillhouse.methods.relation.irg import irg
from stillhouse.methods.relation.pkt import pkt
from stillhouse.methods.relation.rkd import rkd
from stillhouse.methods.relation.sp import sp

METHODS = (
    Method(rkd, paper="Park et al. 2019, arXiv 1904.05068"),
    Method(sp, paper="Tung & Mori 2019, arXiv 1907.09682"),
    Method(pkt, paper="Passalis & Tefas 2018, arXiv 1803.10837"),
    Method(cc_rbf, paper="Peng et al. 2019, arXiv 1904.01802"),
    Method(cc_embedded, paper="Peng et al. 2019, arXiv 1904.01802"),
    Method(irg, paper="Liu et al., CVPR 2019"),
)
