"""Adversarial: somebody learns to tell student from teacher, and the student to fool them."""

from stillhouse.methods.adversarial.adversarial_kd import adversarial_kd
from stillhouse.methods.method import Method

METHODS = (Method(adversarial_kd, paper="Xu et al. 2018, arXiv 1709.00513; Wang et al. 2018"),)
