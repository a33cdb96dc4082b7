"""Offline: what else a frozen teacher may do, such as answer more and more clearly."""

from stillhouse.methods.method import Method
from stillhouse.methods.offline.annealing_kd import annealing_kd

METHODS = (Method(annealing_kd, paper="Jafari et al. 2021, arXiv 2104.07163"),)
