"""The moving average of a student's weights, as a recipe asks for it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from stillhouse.engine.settings import Decay
from stillhouse.recipes.section import Section


class AverageSection(Section):
    """A moving average of the weights of student and control, kept over the training.

    ``decay``: what stays of it in a step, ``m <- decay * m + (1 - decay) * w``: the mean of about
    ``1 / (1 - decay)`` steps. ``warmup``: in step n at most ``1 - n ** (-2 / 3)`` stays, so that it
    forgets how the network began (ModelEmaV3 of timm with ``use_warmup``).
    """

    decay: Decay = 0.999
    warmup: bool = True


def _bare(value: Any) -> Any:
    """``ema: 0.999`` is short for its decay; ``true`` takes the defaults, ``false`` none."""
    if isinstance(value, bool):
        return {} if value else None
    return (
        value if value is None or isinstance(value, Mapping | AverageSection) else {"decay": value}
    )


Average = Annotated[AverageSection | None, BeforeValidator(_bare)]
"""As it is written."""
