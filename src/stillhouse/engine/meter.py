"""Meters: what the terms were, without waiting for the device in each step."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from stillhouse.errors import NonFiniteLoss


class PartMeter:
    """Running means of the parts of a loss, which a network names as they come.

    >>> meter = PartMeter()
    >>> meter.add({"box": torch.tensor([1.0])}); meter.add({"box": torch.tensor([3.0])})
    >>> meter.means()
    {'box': 2.0}
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Note the parts of one step; what is not there in a step counts as 0."""
        for name, value in values.items():
            mean = value.detach().float().mean()
            self.sums[name] = self.sums[name] + mean if name in self.sums else mean
        self.count += bool(values)

    def means(self) -> dict[str, float]:
        """Mean of each part since the last `reset`."""
        return {name: float(value) / max(self.count, 1) for name, value in self.sums.items()}

    def reset(self) -> None:
        """Begin a new epoch."""
        self.sums, self.count = {}, 0

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint needs to give the same means after a resume."""
        sums = {name: value.cpu() for name, value in self.sums.items()}
        return {"sums": sums, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take it back."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.count = state["count"]


class Meter:
    """Running means of the terms of one update; finds the first value that is not finite.

    Values are kept as they come and looked at together, so the device is waited for once per
    `look`, and yet the step of a bad value is known exactly.

    >>> meter = Meter(["kd"])
    >>> meter.add(torch.tensor([1.0]), step=0); meter.add(torch.tensor([3.0]), step=1)
    >>> meter.look(); meter.means()
    {'kd': 2.0}
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._recent: list[tuple[int, Tensor]] = []
        self.sums = torch.zeros(len(names), dtype=torch.float64)
        self.count = 0

    def add(self, values: Tensor, *, step: int) -> None:
        """Note the terms of one step.

        Shapes:
            values: [terms].
        """
        self._recent.append((step, values.detach()))

    def look(self) -> None:
        """Take in what came since the last look.

        Raises:
            NonFiniteLoss: names the term and the step.
        """
        if not self._recent:
            return
        values = torch.stack([value for _, value in self._recent]).double().cpu()
        bad = (~torch.isfinite(values)).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            raise NonFiniteLoss(self.names[column], self._recent[row][0])
        self.sums += values.sum(0)
        self.count += len(values)
        self._recent.clear()

    def means(self) -> dict[str, float]:
        """Mean of each term since the last `reset`."""
        return dict(zip(self.names, (self.sums / max(self.count, 1)).tolist(), strict=True))

    def reset(self) -> None:
        """Begin a new epoch."""
        self.sums.zero_()
        self.count = 0

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint needs to give the same means after a resume."""
        return {"sums": self.sums.clone(), "count": self.count}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take it back."""
        sums, count = state["sums"], state["count"]
        if isinstance(sums, Tensor) and isinstance(count, int):
            self.sums, self.count = sums.clone(), count
