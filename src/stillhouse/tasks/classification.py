"""One class for each row: the task that images, sentences and most tables have."""

from collections.abc import Mapping

import torch
from torch import Tensor

from stillhouse.functional import cross_entropy
from stillhouse.records.metric import ACCURACY
from stillhouse.tasks.task import Task
from stillhouse.tasks.verification import Verification


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

    def guessed(self, classes: int) -> str:
        """Among so many classes."""
        return f"guessing among {classes} classes"

    @property
    def of_unseen(self) -> Task | None:
        """Images of classes that were held out are compared by their embeddings."""
        return Verification(margin="none")


CLASSIFICATION = Classification()


def classification() -> Classification:
    """Classification, see `Classification`."""
    return CLASSIFICATION
