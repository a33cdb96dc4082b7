"""A tiny network that many tests share."""

import torch
from torch import nn


def tiny_net(width: int = 4, seed: int = 0, *, dropout: float = 0.0) -> nn.Module:
    """Convolution, batch norm, pooling, linear head ``fc``: all that matters, in no time."""
    torch.manual_seed(seed)
    return TinyNet(width, dropout)


class TinyNet(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(width, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pooled = self.relu(self.bn(self.conv(image))).mean((2, 3))
        return self.fc(self.drop(pooled))


GREY = (1, 6, 6)


def grey_net(*, norm: bool = False, seed: int = 0) -> nn.Module:
    """Four classes of grey images; its logits are as large as those of a trained network."""
    torch.manual_seed(seed)
    middle = [nn.BatchNorm2d(5)] if norm else []
    net = nn.Sequential(nn.Conv2d(1, 5, 3), *middle, nn.Tanh(), nn.Flatten(), nn.Linear(80, 4))
    with torch.no_grad():
        net[-1].weight *= 20.0
        if norm:
            net[1].running_mean.copy_(torch.linspace(-1, 1, 5))
            net[1].running_var.copy_(torch.linspace(0.5, 2, 5))
    return net
