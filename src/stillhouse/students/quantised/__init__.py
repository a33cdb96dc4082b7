"""int8 students: quantisation-aware training, then the same network on integers."""

from stillhouse.students.quantised.convert import (
    converted,
    integer_form,
    load_integer,
    unrounded,
)
from stillhouse.students.quantised.network import is_quantised, quantised

__all__ = [
    "converted",
    "integer_form",
    "is_quantised",
    "load_integer",
    "quantised",
    "unrounded",
]
