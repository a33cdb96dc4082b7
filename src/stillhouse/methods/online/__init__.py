"""Online distillation: no trained teacher; networks, or branches of one, that learn together."""

from stillhouse.methods.method import Method
from stillhouse.methods.online.dml import dml
from stillhouse.methods.online.kdcl import kdcl
from stillhouse.methods.online.okddip import okddip
from stillhouse.methods.online.one import one
from stillhouse.methods.online.pcl import pcl

METHODS = (
    Method(dml, paper="Zhang et al. 2018, Deep Mutual Learning, arXiv 1706.00384"),
    Method(kdcl, paper="Guo et al. 2020, Online KD via Collaborative Learning, CVPR"),
    Method(one, paper="Lan et al. 2018, On-the-Fly Native Ensemble, arXiv 1806.04606"),
    Method(pcl, paper="Wu & Gong 2021, Peer Collaborative Learning, arXiv 2006.04147"),
    Method(okddip, paper="Chen et al. 2020, Online KD with Diverse Peers, arXiv 1912.00350"),
)
