"""Task: what the labels of a batch mean. The engine, the verdict and the tables ask it.

A task says which signal of a network is measured, what the labelled term is, what is measured
(name, unit, direction), what a prediction is and what is checked. Nothing else in the project
knows what accuracy or cross-entropy is.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from stillhouse.records.answers import Answers
from stillhouse.records.figures import TableFigures
from stillhouse.records.metric import Metric, TaskRecord


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

    rows_are: Literal["images", "boxes", "texts", "passages"] = "images"
    """What the rows of its data are; boxes: images with boxes; passages: of one running text."""

    reads: Sequence[str] = ("image",)
    """What of a batch networks read, by what ``forward`` calls it: a signal ``batch.NAME`` each; of
    a batch that holds ``batch.ROLE_NAME`` the networks of that role read that."""

    needs: Sequence[str] = ("label",)
    """What a batch must hold beside what networks read; without 'label' no labels are read, and
    those of held-out rows are the teacher's embeddings."""

    headless: bool = False
    """Whether what is asked of a network is its embedding alone: one that learns has no classifier,
    and of one that is given it does not matter for what its classifier is."""

    open_set: bool = False
    """Whether it is measured on classes (people) that training has none of: then validation and
    test are split by class, and `stillhouse.data.load.Splits.pairs` says what is compared."""

    mixes: bool = False
    """Whether `loss` is linear in the label, so that rows may have two, each by a share (mixup)."""

    measured: str = "logits"
    """What of a network is scored: what it returns ('logits'), what its head reads ('embedding'),
    or one of several outputs by its name (':detections')."""

    learnt: str = "logits"
    """What of a network the labelled term reads, likewise."""

    parts: str = ""
    """How the outputs of a network begin that are parts of what it is learnt by (':loss.'): their
    means are told after each epoch. Empty where there are none."""

    whole: Sequence[str] = ()
    """Names of what `of_table` measures; where there are none, no answers are gathered for it."""

    @property
    def labelled(self) -> bool:
        """Whether it reads labels of the data."""
        return "label" in self.needs

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a recipe says of it beside its name; of a task of one's own nothing."""
        return {}

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

    def of_table(self, answers: Mapping[str, Tensor], pairs: Any, /) -> Mapping[str, float]:
        """What is measured of a whole table at once (see `whole`), in every process alike.

        Args:
            answers: of all its rows in their order, by name (`answers`), with 'label'.
            pairs: of its rows that are compared, where the data name them; else None.
        """
        return {}

    def figures(
        self, answers: Answers, pairs: Any, table: str, /, *, classes: Sequence[str] = ()
    ) -> TableFigures | None:
        """All that is measured of a table, of every network of a run, with intervals.

        Args:
            answers: of all rows of the table, by role and seed.
            pairs: of its rows that are compared, where the data name them; else None.
            table: 'test', or 'unseen' (classes that were held out).
            classes: the names of the classes of training.

        Returns:
            None where the headline says it all.
        """
        return None

    @property
    def of_unseen(self) -> "Task | None":
        """By what networks are measured on classes that were held out; None: on none."""
        return None

    def forms(self, image: Tensor, /) -> Sequence[Tensor]:
        """The forms of an image whose outputs are added up before they are scored; itself."""
        return [image]

    def adapted(self, network: nn.Module, /) -> nn.Module:
        """A network as the engine runs it: from what it reads to tensors by name; as it is."""
        return network

    def head(self, width: int, classes: int) -> nn.Module | None:
        """The classifier that a network which learns has in place of a Linear; None: as it is."""
        return None

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

    def rows_problem(self, rows: int) -> str | None:
        """Why a table of so many rows is too small to be measured on; None when it is not."""
        return None

    def pairs_problem(self, pairs: Any) -> str | None:
        """Why these pairs of a table cannot show the headline metric; None when they can."""
        return None

    def guessing(self, classes: int) -> float | None:
        """What the headline metric is for a network that guesses; None where nobody knows."""
        return None

    def guessed(self, classes: int) -> str:
        """How one says of a network that it guesses."""
        return "guessing"
