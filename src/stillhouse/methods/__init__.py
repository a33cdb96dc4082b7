"""Methods: one file per paper; each returns a Stage and holds no engine code."""

from stillhouse.methods.catalogue import METHODS, Method, find_method
from stillhouse.methods.dkd import dkd
from stillhouse.methods.kd import kd
from stillhouse.methods.plain import plain
from stillhouse.methods.rkd import rkd
from stillhouse.methods.th_kd import th_kd

__all__ = ["METHODS", "Method", "dkd", "find_method", "kd", "plain", "rkd", "th_kd"]
