"""Factors: what a paraphraser makes of a teacher's map, and a translator of a student's."""

from torch import nn

SLOPE = 0.1
"""Of the leaky ReLUs, as in the benchmark of CRD."""


def factor_encoder(width: int, factors: int, *, norm: bool = False) -> nn.Sequential:
    """Three 3x3 convolutions from a map to its factors: a translator, or half a paraphraser.

    >>> import torch
    >>> factor_encoder(6, 3)(torch.zeros(2, 6, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """
    steps = [(width, width), (width, factors), (factors, factors)]
    layers = [part for a, b in steps for part in _layer(nn.Conv2d(a, b, 3, padding=1), b, norm)]
    return nn.Sequential(*layers)


def factor_decoder(factors: int, width: int, *, norm: bool = False) -> nn.Sequential:
    """Three transposed 3x3 convolutions from factors back to the map.

    >>> import torch
    >>> factor_decoder(3, 6)(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 6, 4, 4])
    """
    steps = [(factors, factors), (factors, width), (width, width)]
    made = [(nn.ConvTranspose2d(a, b, 3, padding=1), b) for a, b in steps]
    return nn.Sequential(*(part for layer, b in made for part in _layer(layer, b, norm)))


def _layer(convolution: nn.Module, width: int, norm: bool) -> list[nn.Module]:
    middle: list[nn.Module] = [nn.BatchNorm2d(width)] if norm else []
    return [convolution, *middle, nn.LeakyReLU(SLOPE)]
