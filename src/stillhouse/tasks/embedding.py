"""No labels at all: what a teacher says of an image is all that is known of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from stillhouse.errors import RecipeError
from stillhouse.records.answers import Answers
from stillhouse.records.figures import TableFigures
from stillhouse.representations.neighbours import NEIGHBOURS
from stillhouse.tasks.agreement import CKA, COSINE, METRICS, OVERLAP, agreement, agreement_figures
from stillhouse.tasks.task import Task


class Embedding(Task):
    """A network's embedding is to be like the teacher's; nothing is known of the images.

    There is no labelled term: what is learnt is the method's alone. The label of an image that is
    held out is the teacher's embedding of it, and a network is measured by its agreement with that:
    'neighbour overlap', of the nearest other images of an image the share that is the same in both
    spaces (`neighbour_overlap`), and beside it 'CKA' (`linear_cka`) and, where both are equally
    wide, 'cosine'. The headline needs no projector and no equal width, so that a student, its
    untrained control and one that was trained with labels are measured alike; nothing in it was
    fitted. By chance it is ``neighbours / (rows - 1)``: compare values of one table only. Of an
    ensemble of teachers the headline is the mean of the agreement with each (`agreement`).

    Args:
        neighbours: how many nearest images are compared. 10 is our choice.

    Raises:
        RecipeError: fewer than one.

    >>> import torch
    >>> task = Embedding(neighbours=1)
    >>> mine = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> found = task.of_table({"embedding": mine, "label": torch.cat([mine, mine], 1)}, None)
    >>> {name: round(value, 6) for name, value in found.items()}
    {'neighbour overlap': 1.0, 'CKA': 1.0}
    """

    name = "embedding"
    needs = ()
    headless = True
    measured = "embedding"
    whole = (OVERLAP, CKA, COSINE)
    metric = METRICS[0]

    def __init__(self, *, neighbours: int = NEIGHBOURS) -> None:
        if neighbours < 1:
            raise RecipeError("task embedding", [f"neighbours is {neighbours}; give 1 or more"])
        self.neighbours = neighbours

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it was made with."""
        return {"neighbours": self.neighbours}

    def loss(self, output: Tensor, label: Tensor, /) -> Tensor:
        """There is none. Raises RecipeError."""
        raise RecipeError("task embedding", ["there are no labels, so there is no labelled term"])

    def outputs(self, classes: int) -> int:
        """Of a classifier that is cut off: one."""
        return 1

    def rows(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """Nothing: an image alone has no neighbours."""
        return {}

    def answers(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """The embedding of each row, float32 [B, D], and the teacher's, or [B, teachers, width]."""
        return {"embedding": output.float(), "label": label.float()}

    def predict(self, output: Tensor, /) -> Tensor:
        """The embedding."""
        return output

    def of_table(self, answers: Mapping[str, Tensor], pairs: Any, /) -> Mapping[str, float]:
        """The agreement of the embeddings of all rows with the teacher's, see `agreement`."""
        return agreement(answers["embedding"], answers["label"], neighbours=self.neighbours)

    def figures(
        self, answers: Answers, pairs: Any, table: str, /, *, classes: Sequence[str] = ()
    ) -> TableFigures | None:
        """Agreement of all networks: overlap, CKA and cosine, with each of several teachers."""
        return agreement_figures(answers, self.of_table)

    def output_problem(self, output: Tensor) -> str | None:
        """Embeddings are [B, D], floats."""
        if output.ndim != 2:
            return "embeddings [B, D]"
        return None if output.is_floating_point() else "embeddings of floats"

    def width_problem(self, width: int, classes: int) -> str | None:
        """An embedding may have any width."""
        return None

    def rows_problem(self, rows: int) -> str | None:
        """An image needs more others than it has neighbours; twice as many, to tell anything."""
        least = 2 * self.neighbours + 1
        if rows >= least:
            return None
        return (
            f"{rows} images, and agreement on the {self.neighbours} nearest neighbours of each is "
            f"measured on {least} or more; give more, or task: {{name: embedding, neighbours: "
            f"{max(1, (rows - 1) // 2)}}}"
        )


def embedding(*, neighbours: int = NEIGHBOURS) -> Embedding:
    """Agreement with the teacher on images of which nothing is known, see `Embedding`."""
    return Embedding(neighbours=neighbours)
