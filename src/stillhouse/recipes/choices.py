"""Choices: sections of a recipe whose schema is the signature of a function.

``method: {name: kd, temperature: 2}`` is checked against ``def kd(..., *, temperature: Positive)``;
``method: kd`` is the same with the defaults. No registry: the tuple of functions is the choice.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Discriminator, Tag, WrapValidator, create_model

from stillhouse.recipes.section import Section
from stillhouse.records.own_code import IMPORT as IMPORT


class Choice(Section):
    """One function with its settings."""

    name: str

    def settings(self) -> dict[str, Any]:
        """The keyword arguments."""
        return {key: getattr(self, key) for key in type(self).model_fields if key != "name"}


def choice_of(function: Callable[..., Any], *, known: Sequence[str] = ()) -> type[Choice]:
    """The schema of one function: its parameters that have a default or go by name only.

    Args:
        function: its name is the choice.
        known: parameters that somebody else gives.

    >>> def ramp(start, *, until: float, epochs: float = 5.0): ...
    >>> choice_of(ramp)(name="ramp", until=1).settings()
    {'until': 1.0, 'epochs': 5.0}
    """
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {"name": (Literal[function.__name__], ...)}
    for name, parameter in inspect.signature(function).parameters.items():
        needed = parameter.default is parameter.empty
        if name in known or (needed and parameter.kind is not parameter.KEYWORD_ONLY):
            continue
        fields[name] = (hints.get(name, Any), ... if needed else parameter.default)
    made: type[Choice] = create_model(function.__name__, __base__=Choice, **fields)
    return made


class OwnChoice(Choice):
    """A function of the user's own, by its place; its settings are checked when it is imported.

    >>> OwnChoice(name="python:mine:largest", weight=2.0).settings()
    {'weight': 2.0}
    """

    model_config = ConfigDict(extra="allow")

    def settings(self) -> dict[str, Any]:
        """The keyword arguments."""
        return dict(self.model_extra or {})


def is_own(name: Any) -> bool:
    """Whether a name is a place in the user's own code.

    >>> is_own("kd"), is_own("python:mine:largest")
    (False, True)
    """
    return isinstance(name, str) and name.startswith(IMPORT)


def choices(functions: Sequence[Callable[..., Any]], *, own: bool = False) -> Any:
    """The discriminated union of functions or schemas; a bare name stands for its defaults.

    ``own``: whether ``python:package.module:function`` is a choice, too.
    """
    models = [each if isinstance(each, type) else choice_of(each) for each in functions]
    options = [Annotated[model, Tag(model.__name__)] for model in models]
    union: Any = Union[tuple(options)] if len(models) > 1 else models[0]  # noqa: UP007  (computed)
    tagged = Annotated[union, Discriminator(_name_of)] if len(models) > 1 else union
    if own:
        return Annotated[tagged, WrapValidator(_own_first), BeforeValidator(_named)]
    return Annotated[tagged, BeforeValidator(_named)]


def _name_of(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)
    return None if name is None else str(name)


def _own_first(value: Any, known: Callable[[Any], Any]) -> Any:
    name = _name_of(value)
    if not is_own(name):
        return known(value)
    if str(name).count(":") != 2:
        raise ValueError(f"'{name}': write {IMPORT}PACKAGE.MODULE:FUNCTION")
    return OwnChoice.model_validate(value)


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value
