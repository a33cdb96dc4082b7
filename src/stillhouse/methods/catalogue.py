"""The methods, one line each. A method's signature is its schema; adding one is adding a line."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError, nearest
from stillhouse.methods.dkd import dkd
from stillhouse.methods.embedding_kd import embedding_kd
from stillhouse.methods.kd import kd
from stillhouse.methods.label_smoothing import label_smoothing
from stillhouse.methods.plain import plain
from stillhouse.methods.projector_logsum import projector_logsum
from stillhouse.methods.rkd import rkd
from stillhouse.methods.tf_kd_reg import tf_kd_reg
from stillhouse.methods.th_kd import th_kd


@dataclass(frozen=True)
class Method:
    """A function that returns a Stage, with what a listing shows.

    >>> METHODS[1].name, METHODS[1].line
    ('kd', "Hinton KD: the student learns the teacher's softened classes beside the labels.")
    """

    build: Callable[..., Stage]
    paper: str

    @property
    def name(self) -> str:
        """The name in recipes."""
        return self.build.__name__

    @property
    def line(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.build) or "").splitlines()[0]

    @property
    def needs_teacher(self) -> bool:
        """Whether it takes a teacher."""
        return "teacher" in inspect.signature(self.build).parameters

    @property
    def settings(self) -> dict[str, inspect.Parameter]:
        """Its keyword-only parameters."""
        found = inspect.signature(self.build).parameters
        return {name: p for name, p in found.items() if p.kind is p.KEYWORD_ONLY}


METHODS: tuple[Method, ...] = (
    Method(plain, paper=""),
    Method(kd, paper="Hinton, Vinyals & Dean 2015, arXiv 1503.02531"),
    Method(dkd, paper="Zhao et al. 2022, arXiv 2203.08679"),
    Method(rkd, paper="Park et al. 2019, arXiv 1904.05068"),
    Method(embedding_kd, paper="It's All in the Head 2022, arXiv 2201.06945"),
    Method(th_kd, paper="It's All in the Head 2022, arXiv 2201.06945"),
    Method(
        projector_logsum,
        paper="Understanding the Role of the Projector 2023, arXiv 2303.11098",
    ),
    Method(label_smoothing, paper="Szegedy et al. 2016, arXiv 1512.00567"),
    Method(tf_kd_reg, paper="Yuan et al. 2020, arXiv 1909.11723"),
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
