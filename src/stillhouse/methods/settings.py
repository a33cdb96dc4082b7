"""Types of the settings of methods: their signatures are the schema of a recipe."""

from typing import Annotated

from annotated_types import Ge, Gt, Le

Positive = Annotated[float, Gt(0)]
"""A number above 0, such as a temperature."""

Weight = Annotated[float, Ge(0)]
"""A weight of a term: 0 switches it off."""

Share = Annotated[float, Ge(0), Le(1)]
"""A number in 0..1, such as the alpha of a mixture."""
