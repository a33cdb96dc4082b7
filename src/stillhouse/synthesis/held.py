"""Modules that hold a tensor for the images of a batch: pixels that learn, targets that stay."""

import torch
from torch import Tensor, nn

HALF = 0.5


class Pixels(nn.Module):
    """A batch of images as a parameter: the module of a Bridge, read by a frozen teacher.

    A stage gives all of them in each step, so what the batch says (``batch.index``) only tells the
    engine where the step is played.

    >>> pixels = Pixels(torch.zeros(3, 1, 2, 2))
    >>> pixels(torch.arange(3)).shape, pixels.values.requires_grad
    (torch.Size([3, 1, 2, 2]), True)
    """

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, _index: Tensor) -> Tensor:
        """All images."""
        return self.values


class Given(nn.Module):
    """A tensor that is there and stays: the targets of the images of a batch.

    >>> Given(torch.eye(2))(torch.arange(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)

    def forward(self, _index: Tensor) -> Tensor:
        """All of it."""
        return self.values


class Shifted(nn.Module):
    """The batch rolled by random offsets and mirrored in half of the steps.

    Every image by the same: DeepInversion wants images that are good wherever they are.

    Args:
        reach: largest offset as a share of a side. 1/8: the CMI benchmark code for small images.
        flip: whether to mirror.
    """

    def __init__(self, reach: float = 0.125, *, flip: bool = True) -> None:
        super().__init__()
        self.reach, self.flip = reach, flip

    def forward(self, image: Tensor) -> Tensor:
        """Shapes: [B, C, H, W] to the same."""
        offsets = [_offset(int(side * self.reach)) for side in image.shape[2:]]
        moved = torch.roll(image, offsets, (2, 3))
        return moved.flip(3) if self.flip and torch.rand(()).item() < HALF else moved


def _offset(most: int) -> int:
    return int(torch.randint(-most, most + 1, ()).item()) if most else 0
