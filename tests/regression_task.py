"""A toy task that no file of the project knows: how bright an image is, in lumen."""

import torch
from torch import Tensor, nn

from stillhouse.data.load import Splits
from stillhouse.data.tables import ImageTable
from stillhouse.records.metric import Metric
from stillhouse.tasks import Task


class Brightness(Task):
    """One number for each image; the mean square error is measured, and less is better."""

    name = "brightness"
    metric = Metric(name="square error", unit="lm2", higher_is_better=False)

    def loss(self, output: Tensor, label: Tensor, /) -> Tensor:
        return (output[:, 0].float() - label) ** 2

    def rows(self, output: Tensor, label: Tensor, /) -> dict[str, Tensor]:
        return {"square error": self.loss(output, label)}

    def predict(self, output: Tensor, /) -> Tensor:
        return output[:, 0]

    def outputs(self, classes: int) -> int:
        return 1

    def output_problem(self, output: Tensor) -> str | None:
        return None if output.ndim == 2 and output.shape[1] == 1 else "one number, [B, 1]"

    def label_problem(self, labels: Tensor) -> str | None:
        return None if labels.is_floating_point() else "brightness is a number with a fraction"


def splits() -> Splits:
    made = torch.Generator().manual_seed(0)
    level = torch.randint(0, 160, (200, 1, 1, 1), generator=made)
    noise = torch.randint(0, 90, (200, 8, 8, 3), generator=made)
    images = (level + noise).to(torch.uint8)
    labels = images.float().mean((1, 2, 3)) / 100
    tables = [ImageTable(images[rows], labels[rows])
              for rows in (slice(0, 120), slice(120, 160), slice(160, 200))]  # fmt: skip
    return Splits("lamps", *tables, (), "lamps-1")


def net(width: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, 1),
    )  # fmt: skip
