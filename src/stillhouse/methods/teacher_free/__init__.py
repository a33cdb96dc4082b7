"""Teacher-free: targets that no network made."""

from stillhouse.methods.method import Method
from stillhouse.methods.teacher_free.label_smoothing import label_smoothing
from stillhouse.methods.teacher_free.tf_kd_reg import equivalent_smoothing, tf_kd_reg

METHODS = (
    Method(label_smoothing, paper="Szegedy et al. 2016, arXiv 1512.00567"),
    Method(tf_kd_reg, paper="Yuan et al. 2020, arXiv 1909.11723"),
)

__all__ = ["METHODS", "equivalent_smoothing", "label_smoothing", "tf_kd_reg"]
