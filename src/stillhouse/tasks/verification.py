"""Is it the same person (the same class)? Embeddings are compared by their cosine."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
from torch import Tensor, nn

from stillhouse.errors import RecipeError
from stillhouse.functional.margin_loss import MARGINS as EVERY_MARGIN
from stillhouse.functional.margin_loss import Margin, margin_cross_entropy
from stillhouse.models.cosine_head import CosineHead
from stillhouse.records.answers import Answers
from stillhouse.records.figures import TableFigures
from stillhouse.records.metric import Metric
from stillhouse.tasks.compared import EMBEDDING, shown_metrics, table_figures
from stillhouse.tasks.task import Task
from stillhouse.verification.figures import ACCURACY, AUC, EER, FARS, figures, tar_name
from stillhouse.verification.pairs import Pairs, all_pairs, pair_cosines

MARGINS = {name: size for name, size in EVERY_MARGIN.items() if name != "adaface"}
"""The usual margins: insightface (radians) and pytorch-metric-learning (of the cosine)."""

Headline = Literal["eer", "auc", "accuracy", "tar@0.1", "tar@0.01", "tar@0.001"]

METRICS: Mapping[str, Metric] = {
    "eer": Metric(name=EER, unit="%", scale=100.0, higher_is_better=False),
    "auc": Metric(name=AUC, unit="%", scale=100.0),
    "accuracy": Metric(name=ACCURACY, unit="%", scale=100.0),
    **{f"tar@{far:g}": Metric(name=tar_name(far), unit="%", scale=100.0) for far in FARS},
}
"""The headline by its name in a recipe. None is a share of rows: a pair is no row."""


class Verification(Task):
    """Networks learn the people of training with a margin, and are measured on pairs of others.

    Args:
        metric: the headline: 'eer' (equal error rate), 'auc' (area under the ROC curve), 'accuracy'
            (each fold of the pairs judged at the threshold that is best on the others; wants pairs
            with folds, in validation too), or 'tar@0.01' (TAR at FAR 0.01).
        mirrored: whether the embedding of the mirrored image is added.
        margin: on the angle ('arcface'), on the cosine ('cosface') or none (normalised softmax).
        size: of the margin; None: 0.5 radians and 0.35.
        scale: s, of the head's cosines. 32.0 is our choice for hundreds of people; insightface has
            64 for 10^5, `least_scale` the least.

    Raises:
        RecipeError: a setting is out of its range, or no such metric or margin.

    >>> import torch
    >>> embedding, person = torch.tensor([[2.0, 0], [1, 0.1], [0, 1]]), torch.tensor([4, 4, 9])
    >>> Verification().of_table({"embedding": embedding, "label": person}, None)
    {'EER': 0.0, 'AUC': 1.0}
    """

    name = "verification"
    measured = "embedding"
    open_set = True
    mixes = True

    def __init__(
        self,
        *,
        metric: str = "eer",
        mirrored: bool = False,
        margin: str = "arcface",
        size: float | None = None,
        scale: float = 32.0,
    ) -> None:
        problems = []
        if metric not in METRICS:
            problems.append(f"metric is {metric!r}; choose among {', '.join(METRICS)}")
        if margin not in MARGINS:
            problems.append(f"margin is {margin!r}; choose among {', '.join(MARGINS)}")
        if not scale > 0:
            problems.append(f"scale is {scale}; it must be above 0")
        if size is not None and not 0 <= size < np.pi:
            problems.append(f"size is {size}; it must be at least 0 and below pi")
        if problems:
            raise RecipeError("task verification", problems)
        self.metric, self.headline, self.mirrored = METRICS[metric], metric, mirrored
        self.margin, self.scale = margin, scale
        self.size = MARGINS[margin] if size is None else size
        self.whole = (EER, AUC, ACCURACY, *(tar_name(far) for far in FARS))

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it was made with."""
        return {
            "metric": self.headline,
            "mirrored": self.mirrored,
            "margin": self.margin,
            "size": self.size,
            "scale": self.scale,
        }

    def loss(self, output: Tensor, label: Tensor, /) -> Tensor:
        """Cross-entropy of the head's scaled cosines with the margin on that of the own person."""
        return margin_cross_entropy(
            output, label, scale=self.scale, margin=cast(Margin, self.margin), size=self.size
        )

    def head(self, width: int, classes: int) -> nn.Module | None:
        """A `CosineHead`, whose logits are scaled cosines."""
        return CosineHead(width, classes, scale=self.scale)

    def forms(self, image: Tensor, /) -> Sequence[Tensor]:
        """The image, and the mirrored one where it is added."""
        return [image, image.flip(-1)] if self.mirrored else [image]

    def rows(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """Nothing: a row alone is neither right nor wrong."""
        return {}

    def answers(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """The embedding of each row, float32 [B, D]."""
        return {"embedding": output.float()}

    def predict(self, output: Tensor, /) -> Tensor:
        """The embedding at length 1."""
        return nn.functional.normalize(output.float(), dim=1)

    def of_table(self, answers: Mapping[str, Tensor], pairs: Any, /) -> Mapping[str, float]:
        """EER, AUC, TAR at each FAR that the pairs can show, and accuracy where they have folds."""
        compared = pairs_of(answers["label"], pairs)
        return figures(pair_cosines(answers["embedding"].numpy(), compared), compared)

    def figures(
        self, answers: Answers, pairs: Any, table: str, /, *, classes: Sequence[str] = ()
    ) -> TableFigures | None:
        """EER, AUC, accuracy and TAR of all networks, with intervals over people, and plots."""
        known = any(EMBEDDING in said for said in answers.of.values())
        if answers.label is None or not known:
            return None
        return table_figures(answers, pairs, table, METRICS)

    def output_problem(self, output: Tensor) -> str | None:
        """Embeddings are [B, D], floats."""
        if output.ndim != 2:
            return "embeddings [B, D]"
        return None if output.is_floating_point() else "embeddings of floats"

    def width_problem(self, width: int, classes: int) -> str | None:
        """An embedding may have any width."""
        return None

    def pairs_problem(self, pairs: Pairs | None) -> str | None:
        """Accuracy is of pairs in folds, and TAR at a FAR of pairs enough to show it."""
        wanted = self.metric.name
        if pairs is None or any(
            shown.name == wanted for shown in shown_metrics([self.metric], pairs)
        ):
            return None
        if wanted == ACCURACY:
            return (
                f"metric: {self.headline} is of pairs in two folds or more, and these have none: "
                "they have some only where a file says so (data.pairs); choose another metric, or, "
                "of such a file, leave validation without people (data.validation: 0)"
            )
        different = int((~pairs.same).sum())
        return (
            f"metric: {self.headline} needs {round(1 / float(wanted.rpartition(' ')[2])):,} pairs "
            f"of different people, there are {different:,}; give more people, or another metric"
        )

    def guessing(self, classes: int) -> float | None:
        """Half of the pairs; of TAR, the FAR itself."""
        return {tar_name(far): far for far in FARS}.get(self.metric.name, 0.5)

    def guessed(self, classes: int) -> str:
        """A pair is of one person or not."""
        return "guessing whether two images are of one person"


def pairs_of(label: Tensor, pairs: Pairs | None) -> Pairs:
    """The pairs that are compared: those of the list, else each row with each other one."""
    return all_pairs(label.numpy()) if pairs is None else pairs


def verification(
    *,
    metric: Headline = "eer",
    mirrored: bool = False,
    margin: Literal["arcface", "cosface", "none"] = "arcface",
    size: float | None = None,
    scale: float = 32.0,
) -> Verification:
    """Verification of pairs of unseen people, see `Verification`."""
    return Verification(metric=metric, mirrored=mirrored, margin=margin, size=size, scale=scale)
