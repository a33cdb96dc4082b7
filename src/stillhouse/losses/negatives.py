"""Negatives: rows of other classes, drawn for each row of a batch."""

import torch
from torch import Tensor, nn

from stillhouse.errors import WiringError

WIDE = 2**62
"""Whole numbers below this, taken modulo a count of rows, are uniform for all that matters."""


class Negatives(nn.Module):
    """Draws rows whose label is another one, the same number for each row of a batch.

    Without replacement while each class has enough rows of other classes, else with replacement
    for all. Numbers come from torch's generator of the device. Its tables are no part of a state:
    they follow from the labels.

    Args:
        labels: [M] class indices of all rows.
        count: how many for each row, at least 1.

    Raises:
        WiringError: all rows have one label, or the count is below 1.

    >>> negatives = Negatives(torch.tensor([0, 1, 1]), 1)
    >>> negatives.replaced, negatives.draw(torch.tensor([1, 2])).tolist()
    (False, [[0], [0]])
    """

    classes: Tensor
    sizes: Tensor
    starts: Tensor
    grouped: Tensor

    def __init__(self, labels: Tensor, count: int) -> None:
        super().__init__()
        if count < 1:
            raise WiringError("negatives", [f"count is {count}; it must be at least 1"])
        _, classes, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
        if len(sizes) < 2:
            said = f"all {len(labels)} training rows have one label, so none is a negative"
            raise WiringError("negatives", [f"{said}; take a table of several classes"])
        self.count = count
        self.rows = len(labels)
        self.replaced = int(self.rows - sizes.max()) < count
        tables = {
            "classes": classes,
            "sizes": sizes,
            "starts": sizes.cumsum(0) - sizes,
            "grouped": classes.argsort(stable=True),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def draw(self, index: Tensor) -> Tensor:
        """[B, count] rows for the rows of a batch, [B]."""
        own = self.classes[index]
        if self.replaced:
            return self._with_replacement(own)
        keys = torch.rand(len(index), self.rows, device=index.device)
        keys = keys.masked_fill(own[:, None] == self.classes, -1.0)
        return keys.topk(self.count, dim=1, sorted=False).indices

    def _with_replacement(self, own: Tensor) -> Tensor:
        """Places among the rows grouped by class, past the group of the row's own class."""
        shape = (len(own), self.count)
        wide = torch.randint(WIDE, shape, device=own.device)
        place = wide % (self.rows - self.sizes[own])[:, None]
        past = place >= self.starts[own][:, None]
        return self.grouped[place + past * self.sizes[own][:, None]]
