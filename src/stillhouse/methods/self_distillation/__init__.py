"""Self-distillation: a network learns from itself, as it was or as it is deeper inside."""

from stillhouse.methods.method import Method
from stillhouse.methods.self_distillation.byot import byot
from stillhouse.methods.self_distillation.cs_kd import cs_kd
from stillhouse.methods.self_distillation.ema_kd import ema_kd
from stillhouse.methods.self_distillation.ps_kd import ps_kd
from stillhouse.methods.self_distillation.snapshot_kd import snapshot_kd

METHODS = (
    Method(byot, paper="Zhang et al. 2019, arXiv 1905.08094"),
    Method(cs_kd, paper="Yun et al. 2020, arXiv 2003.13964"),
    Method(ema_kd, paper="Tarvainen & Valpola 2017, arXiv 1703.01780"),
    Method(ps_kd, paper="Kim et al. 2021, arXiv 2006.12000"),
    Method(snapshot_kd, paper="Yang et al. 2019, arXiv 1812.00123"),
)
