"""Choices: sections of a recipe whose schema is the signature of a function.

``method: {name: kd, temperature: 2}`` is checked against ``def kd(..., *, temperature: Positive)``;
``method: kd`` is the same with the defaults. No registry: the tuple of functions is the choice.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Union, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model


class Choice(BaseModel):
    """One function with its settings; ``call`` adds the other arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


def choices(functions: Sequence[Callable[..., Any]]) -> Any:
    """The discriminated union of functions or schemas; a bare name stands for its defaults."""
    models = [each if isinstance(each, type) else choice_of(each) for each in functions]
    union: Any = Union[tuple(models)] if len(models) > 1 else models[0]  # noqa: UP007  (computed)
    tagged = Annotated[union, Field(discriminator="name")] if len(models) > 1 else union
    return Annotated[tagged, BeforeValidator(_named)]


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value
