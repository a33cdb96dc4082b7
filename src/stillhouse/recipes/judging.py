"""How a run is judged: what is said before anything is trained."""

from typing import Annotated

from pydantic import Field

from stillhouse.recipes.section import Section


class VerdictSection(Section):
    """What the verdict may say beside helps, hurts and no difference shown.

    ``margin``: a difference that does not matter, in the unit of the metric's differences (points
    of accuracy). A gain that is shown to be smaller, either way, is "equivalent within the margin".
    It is said before: a run that has begun keeps the margin that it has.
    """

    margin: Annotated[float, Field(gt=0)] | None = None
