"""Task: what the labels of a batch mean. The engine, the verdict and the tables ask it.

A task says what the labelled term is, what is measured (name, unit, direction), what a prediction
is and what is checked. Nothing else in the project knows what accuracy or cross-entropy is.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from stillhouse.errors import RecipeError, nearest
from stillhouse.functional import cross_entropy
from stillhouse.records.metric import ACCURACY, Metric, TaskRecord


class Accumulator(Protocol):
    """A metric that is more than a mean over rows: any ``torchmetrics.Metric``."""

    def update(self, prediction: Tensor, label: Tensor, /) -> Any:
        """Take in a batch."""

    def compute(self) -> Any:
        """The value of all batches so far, a number or a tensor of one."""

    def to(self, device: Any, /) -> Any:
        """The same metric on a device."""


class Task(ABC):
    """What labels mean. A task has no state: one object serves all networks.

    Its `metric` is the headline: it selects the best epoch, and the verdict is about it. It is the
    name of one of the values of `rows` or of `further`.
    """

    name: str
    metric: Metric

    needs: Sequence[str] = ("label",)
    """What a batch must hold beside what networks read."""

    open_set: bool = False
    """Whether it is measured on classes (people) that training has none of: then validation and
    test are split by class, and `stillhouse.data.load.Splits.pairs` says what is compared."""

    mixes: bool = False
    """Whether `loss` is linear in the label, so that rows may have two, each by a share (mixup)."""

    @property
    def record(self) -> TaskRecord:
        """What a run writes down of it."""
        return TaskRecord(name=self.name, metric=self.metric)

    @abstractmethod
    def loss(self, output: Tensor, label: Tensor, /) -> Tensor:
        """The labelled term: one value for each row, [B], float32."""

    @abstractmethod
    def rows(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """Values of each row whose means are measured, by name, [B] each."""

    def answers(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """What is kept of each test row, by name, [B] each: at least the values of `rows`."""
        return self.rows(output, label)

    @abstractmethod
    def predict(self, output: Tensor, /) -> Tensor:
        """What a network that gave this output says of each row."""

    def further(self) -> Mapping[str, Accumulator]:
        """Metrics that are no means over rows, made anew: name -> ``torchmetrics.Metric``."""
        return {}

    def outputs(self, classes: int) -> int:
        """How wide the output of a network is, for data of so many classes."""
        return classes

    def label_problem(self, labels: Tensor) -> str | None:
        """Why these labels of a whole table are none of this task; None when they are."""
        return None

    def batch_problem(self, labels: Tensor, width: int) -> str | None:
        """Why these labels of a batch do not fit outputs of this width; None when they do."""
        return None

    def output_problem(self, output: Tensor) -> str | None:
        """What is scored, where this output is of another form; None where it is of that form."""
        return None

    def width_problem(self, width: int, classes: int) -> str | None:
        """Why an output of this width does not fit data of so many classes; None when it does."""
        wanted = self.outputs(classes)
        return None if width == wanted else f"it is {width} wide, the task asks for {wanted}"

    def guessing(self, classes: int) -> float | None:
        """What the headline metric is for a network that guesses; None where nobody knows."""
        return None


class Classification(Task):
    """One class for each row: cross-entropy, and the share of rows that are right.

    >>> import torch
    >>> task = Classification()
    >>> logits, label = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    >>> task.rows(logits, label)["accuracy"].tolist(), task.predict(logits).tolist()
    ([True, False], [0, 0])
    """

    name = "classification"
    metric = ACCURACY
    mixes = True

    loss = staticmethod(cross_entropy)
    """``-log softmax(z)_y`` in nats, of logits [B, K] (log-probabilities are logits, too)."""

    def rows(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """Whether the largest logit is that of the label, and the cross-entropy."""
        return {"accuracy": self.predict(output) == label, "loss": cross_entropy(output, label)}

    def answers(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """The class that is predicted and its probability, beside what is measured."""
        confidence = output.float().softmax(1).amax(1)
        own = {"predicted": self.predict(output), "confidence": confidence}
        return {**self.rows(output, label), **own}

    def label_problem(self, labels: Tensor) -> str | None:
        """Classes are whole numbers."""
        if labels.dtype == torch.int64 and labels.ndim == 1:
            return None
        return (
            f"a classification wants class indices, int64 [N]; the labels are {labels.dtype} "
            f"{list(labels.shape)}"
        )

    def batch_problem(self, labels: Tensor, width: int) -> str | None:
        """Class indices below the width of the output, int64 [B]."""
        said = self.label_problem(labels)
        if said is None and (int(labels.min()) < 0 or int(labels.max()) >= width):
            row = int(((labels < 0) | (labels >= width)).nonzero()[0, 0])
            said = (
                f"the label of row {row} is {int(labels[row])}; there are {width} classes, 0 to "
                f"{width - 1} (leave out rows whose label is not known)"
            )
        return said

    def predict(self, output: Tensor, /) -> Tensor:
        """The class of the largest logit."""
        return output.argmax(1)

    def output_problem(self, output: Tensor) -> str | None:
        """Logits are [B, classes], floats."""
        if output.ndim != 2:
            return "logits [B, classes]"
        return None if output.is_floating_point() else "logits of floats"

    def width_problem(self, width: int, classes: int) -> str | None:
        """As many logits as there are classes."""
        if width == classes:
            return None
        return (
            f"tells {width} classes apart, the data has {classes}; give a model with {classes} "
            "outputs"
        )

    def guessing(self, classes: int) -> float | None:
        """One in so many."""
        return 1.0 / classes


CLASSIFICATION = Classification()

TASKS: tuple[Task, ...] = (CLASSIFICATION,)


def find_task(name: str) -> Task:
    """The task of that name. Raises RecipeError with the nearest names when there is none.

    >>> find_task("classification").metric.name
    'accuracy'
    """
    for task in TASKS:
        if task.name == name:
            return task
    names = [task.name for task in TASKS]
    raise RecipeError("task", [f"no task '{name}'; {nearest(name, names)}"])
