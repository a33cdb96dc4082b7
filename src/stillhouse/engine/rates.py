"""Learning rates by parameter: some may learn at a share of the rate."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def scale_rates(optimizer: torch.optim.Optimizer, scales: Mapping[nn.Parameter, float]) -> None:
    """Part the groups of a new optimiser so that some parameters have ``scale * lr``.

    All else of a group (its weight decay) stays what it is. A schedule that is made afterwards
    multiplies each group's own rate. A parameter, also one in several places of a network, is in
    one group.

    Args:
        optimizer: before its first step and its schedule; changed.
        scales: of parameters; that of all others is 1.

    >>> body, head = nn.Linear(2, 3), nn.Linear(3, 2)
    >>> made = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.5, weight_decay=0.1)
    >>> scale_rates(made, dict.fromkeys(body.parameters(), 0.1))
    >>> [(len(group["params"]), group["lr"], group["weight_decay"]) for group in made.param_groups]
    [(2, 0.05, 0.1), (2, 0.5, 0.1)]
    """
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        parts: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            parts.setdefault(scales.get(parameter, 1.0), []).append(parameter)
        groups += [
            {**group, "params": part, "lr": group["lr"] if scale == 1 else group["lr"] * scale}
            for scale, part in parts.items()
        ]
    optimizer.param_groups[:] = groups
