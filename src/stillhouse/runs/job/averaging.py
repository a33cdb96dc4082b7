"""A stage whose product is kept a second time: as the moving average of its weights."""

from dataclasses import replace

from stillhouse.engine.nodes import Ema
from stillhouse.engine.signals import LOGITS
from stillhouse.engine.stage import Stage
from stillhouse.models.given import copied
from stillhouse.recipes.average import AverageSection
from stillhouse.records.run import AVERAGE

NODE = "average"
"""The moving average in a stage."""


def averaged(stage: Stage, section: AverageSection | None) -> Stage:
    """The stage with the moving average of what it keeps, measured and handed over; None: as it is.

    Nothing learns from it, so all other weights keep their bits.

    >>> from torch import nn
    >>> from stillhouse.methods import plain
    >>> list(averaged(plain(nn.Linear(4, 2)), AverageSection()).measures)
    ['student', 'moving average']
    """
    if section is None:
        return stage
    role = stage.role(stage.keeps)
    average = Ema(NODE, role, decay=section.decay, warmup=section.warmup)
    return replace(
        stage,
        nodes=[*stage.nodes, average],
        measures={**stage.measures, AVERAGE: f"{NODE}.{LOGITS}"},
        products={**stage.products, AVERAGE: lambda: copied(average.module)},
    )
