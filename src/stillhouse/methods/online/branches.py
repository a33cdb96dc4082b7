"""Branches: copies of a network's last part on one trunk, and the gate that weighs their logits."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.bridges.shapes import as_map, map_shape
from stillhouse.bridges.tails import shuffled, tail_of, with_tap
from stillhouse.models.given import copied


class Gate(nn.Module):
    """How much each branch counts for an image: ``softmax(relu(bn(W mean(features) + b)))``.

    Shapes:
        [B, C, H, W] (or tokens, or vectors) -> [B, branches], shares.

    >>> gate = Gate(torch.Size([2, 8, 4, 4]), 3)
    >>> gate(torch.randn(2, 8, 4, 4)).sum(1).allclose(torch.ones(2))
    True
    """

    def __init__(self, features: torch.Size, branches: int) -> None:
        super().__init__()
        self.fc = nn.Linear(map_shape(features)[1], branches)
        self.bn = nn.BatchNorm1d(branches)

    def forward(self, features: Tensor) -> Tensor:
        """The shares."""
        pooled = as_map(features).mean((2, 3))
        return torch.softmax(torch.relu(self.bn(self.fc(pooled))).float(), 1)


def gated_sum(shares: Tensor, *logits: Tensor) -> Tensor:
    """The branches' logits, weighed: ``sum_i g_i z_i``.

    Shapes:
        shares: [B, n]; each: [B, C] logits; the result: [B, C].

    >>> gated_sum(torch.tensor([[0.25, 0.75]]), torch.tensor([[4.0]]), torch.tensor([[8.0]])).item()
    7.0
    """
    return torch.stack(logits, 1).mul(shares[:, :, None]).sum(1)


@dataclass
class Grafts:
    """Branches of a network from a tap on, made once the size of the images is known.

    Args:
        network: the trunk and the branch that was there before.
        tap: where the others leave it.

    >>> grafts = Grafts.of(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), "1")
    >>> grafts.branch(torch.Size([2, 4]))(torch.randn(2, 3)).shape
    torch.Size([2, 2])
    """

    network: nn.Module
    tap: str
    origin: nn.Module
    image: torch.Size | None = None

    @classmethod
    def of(cls, network: nn.Module, tap: str) -> "Grafts":
        """Keeps the network as it is now: later it is listened to, and it learns."""
        return cls(network, tap, copied(network))

    def branch(self, image: torch.Size) -> nn.Module:
        """A fresh branch: the last part with its weights in a random order."""
        self.image = image
        return shuffled(tail_of(self.origin, self.tap, image=torch.zeros(image)))

    def ensemble(self, gate: nn.Module | None, branches: list[nn.Module | None]) -> nn.Module:
        """Trunk, branches and gate as one plain model from images to logits."""
        parts = [part for part in (gate, *branches) if part is not None]
        place = next(self.network.parameters()).device
        image = None if self.image is None else torch.zeros(self.image, device=place)
        trunk = with_tap(self.network, self.tap, image=image)
        return GatedEnsemble(trunk, *(copied(part) for part in parts)).to(place)


class GatedEnsemble(nn.Module):
    """A network with branches that answers by all of them.

    Shapes:
        images -> [B, C] logits.
    """

    def __init__(self, trunk: nn.Module, gate: nn.Module, *branches: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.gate = gate
        self.branches = nn.ModuleList(branches)

    def forward(self, image: Tensor) -> Tensor:
        """The gated sum of logits."""
        features, logits = self.trunk(image)
        return gated_sum(self.gate(features), logits, *(each(features) for each in self.branches))
