"""A method with what a listing shows of it: its signature is its schema in recipes."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from stillhouse.engine.stage import Stage


@dataclass(frozen=True)
class Method:
    """A function that returns a Stage, with what a listing shows.

    >>> from stillhouse.methods import kd
    >>> Method(kd, paper="Hinton, Vinyals & Dean 2015").name
    'kd'
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
        return next(iter((inspect.getdoc(self.build) or "").splitlines()), "")

    @property
    def family(self) -> str:
        """The kind of knowledge or scheme that it belongs to: its folder.

        >>> from stillhouse.methods import find_method
        >>> find_method("rkd").family, find_method("plain").family
        ('relation', '')
        """
        _package, _room, *where = self.build.__module__.split(".")
        return where[0].replace("_", " ") if len(where) > 1 else ""

    @property
    def needs_teacher(self) -> bool:
        """Whether it takes a teacher."""
        return "teacher" in inspect.signature(self.build).parameters

    @property
    def needs_peers(self) -> bool:
        """Whether it takes peers: other networks that learn beside the student."""
        return "peers" in inspect.signature(self.build).parameters

    @property
    def settings(self) -> dict[str, inspect.Parameter]:
        """Its keyword-only parameters."""
        found = inspect.signature(self.build).parameters
        return {name: p for name, p in found.items() if p.kind is p.KEYWORD_ONLY}
