"""What a network answered for each row of a table, kept for whoever judges rows one by one."""

import torch
from torch import Tensor

from stillhouse.engine.platform import Platform
from stillhouse.tasks import Task

LABEL = "label"


class RowAnswers:
    """What the task keeps of each row (`Task.answers`), in the order of the table.

    Of several processes each sees every ``world``-th row; what is given in the end is of all rows.

    Args:
        task: what labels mean.
        platform: this process among all.
        rows: of the table.

    >>> import torch
    >>> from stillhouse.engine.platform import open_platform
    >>> from stillhouse.tasks import CLASSIFICATION
    >>> kept = RowAnswers(CLASSIFICATION, open_platform(device="cpu"), rows=2)
    >>> kept.add(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))
    >>> kept.tensors()["accuracy"].tolist(), kept.tensors()["predicted"].tolist()
    ([1, 0], [0, 0])
    """

    def __init__(self, task: Task, platform: Platform, rows: int) -> None:
        self._task, self._platform, self._rows = task, platform, rows
        self._kept: dict[str, Tensor] = {}
        self._seen = 0

    def add(self, output: Tensor, label: Tensor) -> None:
        """Take in a batch of this process's share."""
        of_row = dict(self._task.answers(output, label))
        if label.ndim == 1:
            of_row.setdefault(LABEL, label)
        world, count = self._platform.world, len(label)
        index = self._platform.rank + world * torch.arange(self._seen, self._seen + count)
        for name, values in of_row.items():
            given = values.detach().to(_stored(values.dtype))
            if name not in self._kept:
                self._kept[name] = given.new_zeros((self._rows, *given.shape[1:]))
            self._kept[name][index.to(given.device)] = given
        self._seen += count

    def tensors(self) -> dict[str, Tensor]:
        """Of all rows, on the CPU: bool as uint8, whole numbers as int32, others as float32."""
        return {name: self._platform.sum(kept).cpu() for name, kept in self._kept.items()}


def _stored(dtype: torch.dtype) -> torch.dtype:
    if dtype == torch.bool:
        return torch.uint8
    return torch.float32 if dtype.is_floating_point else torch.int32
