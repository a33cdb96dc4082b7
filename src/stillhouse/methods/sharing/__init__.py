"""Classifier sharing: teacher and student meet in the teacher's head."""

from stillhouse.methods.method import Method
from stillhouse.methods.sharing.embedding_kd import embedding_kd
from stillhouse.methods.sharing.th_kd import th_kd

METHODS = (
    Method(embedding_kd, paper="It's All in the Head 2022, arXiv 2201.06945"),
    Method(th_kd, paper="It's All in the Head 2022, arXiv 2201.06945"),
)
