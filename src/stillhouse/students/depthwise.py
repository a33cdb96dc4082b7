"""Compact convolutions: k x k as one filter per channel, then a mixture of channels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.students.derived import DerivedModel, Replacement, classifier, rebuilt


def depthwise(teacher: nn.Module, *, keep: Sequence[str] | None = None) -> DerivedModel:
    """A copy of a network with each k x k convolution as depthwise and pointwise one.

    ``W[o, i] ~ pointwise[o, i] * depthwise[i]``: of each input channel, the closest such product
    to the teacher's filters. 1 x 1 and depthwise convolutions are kept, and so is what would not
    be smaller. Nothing else changes: a layer ``path`` becomes ``path.depthwise`` and
    ``path.pointwise``.

    Args:
        teacher: stays as it is.
        keep: paths of layers that stay as they are; default: the first convolution, as in
            MobileNet, and the classifier.

    Raises:
        ModelError: no such path.

    Paper: Howard et al., MobileNets, 2017.

    Differs from the paper: no batch norm and ReLU between the two, so that they can start as an
    approximation of the layer.

    >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3))
    >>> depthwise(net).changes
    (Change(path='2', before=4640, after=688, how='depthwise 3x3 and pointwise'),)
    """

    def decide(layer: nn.Conv2d) -> Replacement | str:
        m, n, *sides = layer.weight.shape
        if sides == [1, 1]:
            return "1x1 already"
        if n == 1 and layer.groups > 1:
            return "depthwise already"
        if layer.in_channels * sides[0] * sides[1] + m * n >= layer.weight.numel():
            return "two layers would not be smaller"
        return Replacement(separate(layer), f"depthwise {sides[0]}x{sides[1]} and pointwise")

    first = (path for path, part in teacher.named_modules() if isinstance(part, nn.Conv2d) and path)
    default = (*(path for path, _ in zip(first, range(1), strict=False)), *classifier(teacher))
    return rebuilt(teacher, (nn.Conv2d,), decide, default if keep is None else keep)


def separate(layer: nn.Conv2d) -> nn.Sequential:
    """The depthwise and pointwise pair that is closest to a convolution.

    Stride, padding (its mode too) and dilation are the depthwise one's, groups and bias the
    pointwise one's.

    Shapes:
        weight [m, n, a, b] with g groups: [g n, 1, a, b] and [m, n, 1, 1].

    >>> made = separate(nn.Conv2d(4, 8, 3, stride=2, groups=2))
    >>> made.depthwise.weight.shape, made.pointwise.weight.shape
    (torch.Size([4, 1, 3, 3]), torch.Size([8, 2, 1, 1]))
    """
    weight, inputs, groups = layer.weight, layer.in_channels, layer.groups
    place: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
    filters = nn.Conv2d(
        inputs, inputs, layer.kernel_size, layer.stride, layer.padding, layer.dilation,  # type: ignore[arg-type]
        groups=inputs, bias=False, padding_mode=layer.padding_mode, **place,
    )  # fmt: skip
    has = layer.bias is not None
    mixture = nn.Conv2d(inputs, layer.out_channels, 1, groups=groups, bias=has, **place)
    each, weights = closest(weight, groups)
    with torch.no_grad():
        filters.weight.copy_(each)
        mixture.weight.copy_(weights)
        if layer.bias is not None and mixture.bias is not None:
            mixture.bias.copy_(layer.bias)
    made = nn.Sequential()
    made.add_module("depthwise", filters)
    made.add_module("pointwise", mixture)
    return made


def closest(weight: Tensor, groups: int = 1) -> tuple[Tensor, Tensor]:
    """Filters and mixture whose product is closest to a weight, in the Frobenius norm.

    Of each input channel, the filters of all outputs that see it are a matrix [m / g, a b], and
    its first pair of singular vectors is the closest product. Computed in float64 on the CPU.

    Shapes:
        weight [m, n, a, b] with g groups; returns [g n, 1, a, b] and [m, n, 1, 1], float64.

    >>> filters, mixture = closest(torch.full((2, 3, 1, 2), 6.0))
    >>> round((mixture * filters.transpose(0, 1)).mean().item(), 9)
    6.0
    """
    m, n, a, b = weight.shape
    by_input = weight.detach().double().cpu().reshape(groups, m // groups, n, a * b).transpose(1, 2)
    u, s, v = torch.linalg.svd(by_input, full_matrices=False)  # [g, n, m / g, a b]
    root = s[..., :1].sqrt()
    mixture = (u[..., 0] * root).transpose(1, 2).reshape(m, n, 1, 1)
    filters = (v[..., 0, :] * root).reshape(groups * n, 1, a, b)
    return filters, mixture
