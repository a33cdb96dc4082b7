"""Feature knowledge: what the teacher computes on the way to its answer."""

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

METHODS = (
    Method(fitnet, paper="Romero et al. 2015 (FitNets), arXiv 1412.6550"),
    Method(at, paper="Zagoruyko & Komodakis 2017, arXiv 1612.03928"),
    Method(nst, paper="Huang & Wang 2017, arXiv 1707.01219"),
    Method(fsp, paper="Yim et al., CVPR 2017"),
    Method(ab, paper="Heo et al. 2019, arXiv 1811.03233"),
    Method(ft, paper="Kim, Park & Kwak 2018, arXiv 1802.04977"),
    Method(mgd, paper="Yang et al. 2022, arXiv 2205.01529"),
    Method(ofd, paper="Heo et al. 2019, arXiv 1904.01866"),
    Method(
        projector_logsum,
        paper="Understanding the Role of the Projector 2023, arXiv 2303.11098",
    ),
    Method(review_kd, paper="Chen et al. 2021, arXiv 2104.09044"),
    Method(simkd, paper="Chen et al. 2022, arXiv 2203.14001"),
    Method(srrl, paper="Yang et al. 2021, ICLR"),
    Method(vid, paper="Ahn et al. 2019, arXiv 1904.05835"),
)
