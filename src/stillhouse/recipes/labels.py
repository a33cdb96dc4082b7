"""The labels of a recipe: how sure they are taken to be, and how much each class counts."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

BALANCED = "balanced"
LARGEST = 1e6


def _weights(value: Any) -> Any:
    """The word, numbers in the order of the classes, or by their names."""
    if value is None or value == BALANCED:
        return value
    if not isinstance(value, list | tuple | Mapping) or not value:
        raise ValueError(
            f"it is {value!r}; say {BALANCED}, list a number for each class, or give some by the "
            "class's name: {rose: 2}"
        )
    named = isinstance(value, Mapping)
    numbers = dict(value) if named else dict(enumerate(value))
    for key, number in numbers.items():
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not math.isfinite(number) or not 0 < number <= LARGEST:
            where = f"'{key}'" if named else f"number {key + 1}"
            raise ValueError(f"{where} is {number!r}; give numbers above 0, at most 1,000,000")
    return {str(key): float(number) for key, number in numbers.items()} if named else tuple(value)


ClassWeights = Annotated[
    Literal["balanced"] | tuple[float, ...] | dict[str, float], BeforeValidator(_weights)
]
"""How much each class counts in the labelled term: only their proportions matter."""

Smoothing = Annotated[float, Field(ge=0, lt=1)]
"""The share of a label that is spread evenly over all classes."""
