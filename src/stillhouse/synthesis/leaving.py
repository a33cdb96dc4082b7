"""Leaving: images that have reached their target make room for those that have not."""

import torch
from torch import Tensor, nn

from stillhouse.engine.player import Player
from stillhouse.synthesis.held import Given, Pixels
from stillhouse.synthesis.maker import Made
from stillhouse.synthesis.priors import excess

EVERY = 25
"""Steps between looks at who may leave; a look is one more forward pass."""
WORTH = 0.9
"""The batch is made smaller when no more than this share of it has to stay: copying costs, too."""


class Leaving:
    """Who is still in the batch, and what those who left looked like.

    An image never depends on the others of its batch, so leaving changes nobody's result but the
    rounding.

    Args:
        tolerance: KL (nats) at which an image may leave; None: nobody leaves.
        temperature: of the softmax.
        pixels, target: what is made smaller.
    """

    def __init__(
        self, tolerance: float | None, temperature: float, pixels: Pixels, target: Given
    ) -> None:
        self.tolerance, self.temperature = tolerance, temperature
        self._pixels, self._target = pixels, target
        count = len(pixels.values)
        self.places = torch.arange(count, device=pixels.values.device)
        self._images: Tensor | None = None
        self._steps = torch.full((count,), -1)

    def due(self, step: int) -> bool:
        """Whether it is time to look."""
        return self.tolerance is not None and step % EVERY == 0

    @torch.no_grad()
    def some(self, player: Player, teacher: nn.Module, step: int) -> bool:
        """Let those leave who may; gives whether nobody is left."""
        gap = excess(teacher(self._pixels.values), self._target.values,
                     temperature=self.temperature)  # fmt: skip
        stays = gap > (self.tolerance or 0.0)
        if int(stays.sum()) > WORTH * len(stays):
            return False
        self._take(~stays, step)
        if not bool(stays.any()):
            return True
        keep = stays.nonzero().squeeze(1)
        self.places = self.places[keep]
        self._target.values = self._target.values[keep]
        values = self._pixels.values
        values.data, values.grad = values.data[keep], None
        for name, state in player.optimizer.state[values].items():
            if isinstance(state, Tensor) and state.ndim == values.ndim:
                player.optimizer.state[values][name] = state[keep]
        return False

    def _take(self, leaves: Tensor, step: int) -> None:
        values = self._pixels.values.detach()
        if self._images is None:
            self._images = values.new_empty(len(self._steps), *values.shape[1:])
        gone = self.places[leaves]
        self._images[gone] = values[leaves]
        self._steps[gone.cpu()] = step

    def everyone(self, steps: int) -> Made:
        """All images: those who left, and those who stayed to the end."""
        if self._images is None:
            return Made(self._pixels.values.detach().clone(), torch.full_like(self._steps, steps))
        here = self._steps[self.places.cpu()] < 0
        if bool(here.any()):
            self._take(here.to(self.places.device), steps)
        return Made(self._images, self._steps)
