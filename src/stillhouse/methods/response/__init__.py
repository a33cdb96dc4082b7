"""Response knowledge: what the teacher answers."""

from stillhouse.methods.method import Method
from stillhouse.methods.response.deit import deit
from stillhouse.methods.response.dist import dist
from stillhouse.methods.response.dkd import dkd
from stillhouse.methods.response.kd import kd
from stillhouse.methods.response.logits_mse import logits_mse
from stillhouse.methods.response.nkd import nkd
from stillhouse.methods.response.standardised_kd import standardised_kd

METHODS = (
    Method(kd, paper="Hinton, Vinyals & Dean 2015, arXiv 1503.02531"),
    Method(logits_mse, paper="Ba & Caruana 2014, arXiv 1312.6184"),
    Method(dkd, paper="Zhao et al. 2022, arXiv 2203.08679"),
    Method(dist, paper="Huang et al. 2022, arXiv 2205.10536"),
    Method(nkd, paper="Yang et al. 2023, arXiv 2303.13005"),
    Method(standardised_kd, paper="Sun et al. 2024, arXiv 2403.01427"),
    Method(deit, paper="Touvron et al. 2021, arXiv 2012.12877"),
)
