"""Response knowledge: what the teacher answers."""

from stillhouse.methods.method import Method
from stillhouse.methods.response.dkd import dkd
from stillhouse.methods.response.kd import kd

METHODS = (
    Method(kd, paper="Hinton, Vinyals & Dean 2015, arXiv 1503.02531"),
    Method(dkd, paper="Zhao et al. 2022, arXiv 2203.08679"),
)
