"""answers.safetensors: what each network of a run said of each test row, with the last epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.errors import RunError
from stillhouse.records.metric import Metric
from stillhouse.records.schema import RUN_AGAIN
from stillhouse.records.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

ANSWERS = "answers.safetensors"
LABEL = "label"

Network = tuple[str, int]
"""Role and seed."""


@dataclass(frozen=True)
class Answers:
    """What networks said of the test rows, in the order of the test set.

    Args:
        label: of each row; None where labels are more than one number.
        of: by role and seed, then by name: the values that the task measures, such as 'accuracy'
            (one bit for each row) and 'loss'; of a classification also 'predicted' and
            'confidence'.
    """

    label: "Tensor | None" = None
    of: Mapping[Network, Mapping[str, "Tensor"]] = field(default_factory=dict)

    def seeds(self, role: str, name: str) -> "dict[int, Tensor]":
        """One kind of value of a role, by seed.

        >>> import torch
        >>> Answers(None, {("student", 1): {"loss": torch.ones(2)}}).seeds("student", "loss")
        {1: tensor([1., 1.])}
        """
        return {
            seed: values[name] for (known, seed), values in self.of.items()
            if known == role and name in values
        }  # fmt: skip

    def right(self, role: str, metric: Metric) -> "dict[int, Tensor]":
        """Whether each row is right, by seed; empty where the metric is no share of rows.

        >>> import torch
        >>> wrong = Metric(name="error", higher_is_better=False, share=True)
        >>> Answers(None, {("student", 1): {"error": torch.tensor([1, 0])}}).right("student", wrong)
        {1: tensor([0, 1])}
        """
        if not metric.share:
            return {}
        known = self.seeds(role, metric.name)
        return known if metric.higher_is_better else {at: 1 - bits for at, bits in known.items()}


def write_answers(directory: Path, answers: Answers) -> None:
    """Write them beside the run."""
    state = {
        f"{role}/{seed}/{name}": values
        for (role, seed), known in answers.of.items()
        for name, values in known.items()
    }
    if answers.label is not None:
        state[LABEL] = answers.label
    save_tensors(directory / ANSWERS, state, {})


def read_answers(directory: Path) -> Answers:
    """Read them.

    Raises:
        RunError: the file is damaged or was edited.
    """
    tensors, _ = load_tensors(directory / ANSWERS, RunError, RUN_AGAIN)
    of: dict[Network, dict[str, Tensor]] = {}
    for key, values in tensors.items():
        if key != LABEL:
            role, seed, name = key.rsplit("/", 2)
            of.setdefault((role, int(seed)), {})[name] = values
    return Answers(tensors.get(LABEL), of)
