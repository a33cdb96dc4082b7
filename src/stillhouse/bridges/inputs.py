"""A model's own input: its normalisation, resolution and channels, from the batch's image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InputAdapter(nn.Module):
    """Turns the batch's normalised image into what a given model was trained on.

    ``y = (resize(pad(x * std + mean)) - mean') / std'``: back to [0, 1], with black (0) around it,
    to the model's size (bilinear, antialiased) and channels, then to its own mean and std.

    Args:
        mean, std: of the batch, per channel.
        to_mean, to_std: of the model; None keeps [0, 1] scaled by the batch's own numbers.
        size: side of its square input, or height and width; None keeps the size.
        channels: 3 repeats a grey image; 1 averages a colour image; None keeps them.
        bgr: whether the model wants blue first; its mean and std are in that order, too.
        pad: black pixels at the left, top, right and bottom, before it is resized; a negative
            number cuts so many away.

    Shapes:
        [B, C, H, W] -> [B, C', size, size].

    >>> adapter = InputAdapter((0.5,), (0.5,), to_mean=(0.0,) * 3, to_std=(1.0,) * 3, channels=3)
    >>> adapter(torch.zeros(1, 1, 2, 2))[0, :, 0, 0].tolist()
    [0.5, 0.5, 0.5]
    """

    mean: Tensor
    std: Tensor
    to_mean: Tensor
    to_std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        to_mean: Sequence[float] | None = None,
        to_std: Sequence[float] | None = None,
        size: int | tuple[int, int] | None = None,
        channels: int | None = None,
        bgr: bool = False,
        pad: tuple[int, int, int, int] | None = None,
    ) -> None:
        super().__init__()
        self.bgr = bgr
        self.size = (size, size) if isinstance(size, int) else size
        self.pad = pad
        self.channels = channels
        for name, numbers in (
            ("mean", mean),
            ("std", std),
            ("to_mean", mean if to_mean is None else to_mean),
            ("to_std", std if to_std is None else to_std),
        ):
            shaped = torch.tensor([float(n) for n in numbers])[:, None, None]
            self.register_buffer(name, shaped, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """The model's input."""
        image = image * self.std + self.mean
        if self.channels == 1 and image.shape[1] > 1:
            image = image.mean(1, keepdim=True)
        elif self.channels is not None and image.shape[1] != self.channels:
            image = image.expand(-1, self.channels, -1, -1)
        if self.pad is not None:
            left, top, right, bottom = self.pad
            image = F.pad(image, (left, right, top, bottom))
        if self.size is not None and image.shape[-2:] != self.size:
            image = F.interpolate(
                image, self.size, mode="bilinear", antialias=True, align_corners=False
            )
        if self.bgr:
            image = image.flip(1)
        return (image - self.to_mean) / self.to_std
