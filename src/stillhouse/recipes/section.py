"""A part of a recipe: what all sections and choices share, whatever their keys are."""

import contextlib
import math
from types import NoneType
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic.fields import FieldInfo
from pydantic_core.core_schema import ValidationInfo

from stillhouse.engine.settings import LARGEST


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, nothing changes after loading.

    Numbers are finite, and small enough for single precision; true and false are none.

    >>> class Budget(Section):
    ...     hours: float
    >>> Budget(hours=2).hours
    2.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic takes true for 1."""
        field = cls.model_fields.get(info.field_name or "")
        if field is not None and wants_number(field) and _holds_truth(value):
            wanted = "a word or a number" if str in _leaves(field.annotation) else "a number"
            raise ValueError(f"it is {str(value).lower()}; it must be {wanted}")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _not_too_large(cls, value: Any) -> Any:
        for each in value if isinstance(value, list | tuple) else [value]:
            number = isinstance(each, int | float) and not isinstance(each, bool)
            if number and math.isfinite(each) and abs(each) > LARGEST:
                raise ValueError(f"it is {each:.0e}; single precision holds numbers up to 3.4e38")
        return value


def wants_number(field: FieldInfo) -> bool:
    """Whether a field takes numbers, and no truth values.

    >>> wants_number(FieldInfo(annotation=int | None)), wants_number(FieldInfo(annotation=bool))
    (True, False)
    """
    leaves = set(_leaves(field.annotation))
    return bool(leaves & {int, float}) and bool not in leaves


def _leaves(annotation: Any) -> list[Any]:
    inner = [each for each in get_args(annotation) if each not in (NoneType, ...)]
    if not inner or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return [annotation] if isinstance(annotation, type) else []
    return [leaf for each in inner for leaf in _leaves(each)]


def _holds_truth(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_truth, value))
    return isinstance(value, bool)


Share = Annotated[float, Field(gt=0, le=1)]
"""A share of something that is not none of it."""


def split_size(value: Any) -> Any:
    """A share below 1 stays one, a whole number is of rows."""
    if isinstance(value, str):  # 1e-1 is text in YAML
        with contextlib.suppress(ValueError):
            value = float(value) if any(mark in value for mark in ".eE") else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"it is {value!r}; give a share such as 0.1, or a number of rows")
    good = 0 <= value < 1 if isinstance(value, float) else value >= 0
    if not good:
        raise ValueError(f"it is {value!r}; give a share from 0 to below 1, or a number of rows")
    return value


SplitSize = Annotated[float | int, BeforeValidator(split_size)]
"""A share of the rows, below 1, or how many of them."""
