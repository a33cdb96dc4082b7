"""A method with what a listing shows of it: its signature is its schema in recipes."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError, StillhouseError
from stillhouse.records.own_code import said_by

HOME = "stillhouse.methods."


@dataclass(frozen=True)
class Method:
    """A function that returns a Stage, with what a listing shows; all of it is read off the code.

    >>> from stillhouse.methods import kd
    >>> Method(kd).name
    'kd'
    """

    build: Callable[..., Stage]

    @property
    def name(self) -> str:
        """The name in recipes."""
        return self.build.__name__

    @property
    def line(self) -> str:
        """The first line of its docstring."""
        return next(iter((inspect.getdoc(self.build) or "").splitlines()), "")

    @property
    def paper(self) -> str:
        """The short reference: what its docstring has under Paper, up to a colon; "" without one.

        >>> from stillhouse.methods import find_method
        >>> find_method("kd").paper
        'Hinton, Vinyals & Dean 2015, arXiv 1503.02531'
        """
        said = inspect.getdoc(self.build) or ""
        found = re.search(r"^Paper:(.*?)(?=^\S|\Z)", said, re.MULTILINE | re.DOTALL)
        return " ".join(found[1].split()).partition(": ")[0] if found else ""

    @property
    def family(self) -> str:
        """The kind of knowledge or scheme that it belongs to: its folder.

        >>> from stillhouse.methods import find_method
        >>> find_method("rkd").family, find_method("plain").family
        ('relation', '')
        """
        module = self.build.__module__
        folder, _, _file = module.removeprefix(HOME).rpartition(".")
        return folder.replace("_", " ") if module.startswith(HOME) else ""

    def stage(self, *networks: Any, **settings: Any) -> Stage:
        """What it composes of these networks.

        Raises:
            RecipeError: it is the user's own, and gives no Stage or fails; with its own error and
                line.
        """
        try:
            stage: object = self.build(*networks, **settings)
        except StillhouseError:
            raise
        except Exception as error:
            if self.build.__module__.startswith(HOME):
                raise
            raise RecipeError(f"method '{self.name}'", [f"it failed: {said_by(error)}"]) from error
        if isinstance(stage, Stage):
            return stage
        what = "None" if stage is None else f"a {type(stage).__name__}"
        said = f"it gave {what}, not a stillhouse.Stage; does it return the stage?"
        raise RecipeError(f"method '{self.name}'", [said])

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


def methods_among(names: Mapping[str, object]) -> tuple[Method, ...]:
    """The methods among the names of a module: the functions whose file is called like them.

    >>> from stillhouse import methods
    >>> names = {"kd": methods.kd, "find_method": methods.find_method, "Method": Method}
    >>> [method.name for method in methods_among(names)]
    ['kd']
    """
    functions = [value for value in names.values() if inspect.isfunction(value)]
    return tuple(Method(f) for f in functions if f.__module__.endswith(f".{f.__name__}"))
