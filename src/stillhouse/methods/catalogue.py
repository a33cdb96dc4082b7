"""The methods of all families; adding one is adding a line to the tuple of its family."""

from stillhouse.errors import RecipeError, nearest
from stillhouse.methods import (
    adversarial,
    feature,
    offline,
    online,
    relation,
    response,
    self_distillation,
    several_teachers,
    sharing,
    teacher_free,
)
from stillhouse.methods.method import Method
from stillhouse.methods.plain import plain

METHODS: tuple[Method, ...] = (
    Method(plain, paper=""),
    *response.METHODS,
    *feature.METHODS,
    *relation.METHODS,
    *self_distillation.METHODS,
    *sharing.METHODS,
    *offline.METHODS,
    *several_teachers.METHODS,
    *teacher_free.METHODS,
    *online.METHODS,
    *adversarial.METHODS,
)


def find_method(name: str) -> Method:
    """The method of that name. Raises RecipeError with the nearest names when there is none.

    >>> find_method("kd").needs_teacher
    True
    """
    for method in METHODS:
        if method.name == name:
            return method
    names = [method.name for method in METHODS]
    raise RecipeError("method", [f"no method '{name}'; {nearest(name, names)}"])
