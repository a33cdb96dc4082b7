"""Several teachers: who is listened to, for which sample."""

from stillhouse.methods.method import Method
from stillhouse.methods.several_teachers.multi_teacher_kd import multi_teacher_kd

METHODS = (
    Method(multi_teacher_kd, paper="Hinton et al. 2015; Fukuda et al. 2017; Zhang et al. 2022"),
)
