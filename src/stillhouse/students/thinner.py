"""Thinner and shallower students: the next smaller name of the teacher's own family."""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial

import torch

from stillhouse.errors import ModelError
from stillhouse.models.catalogue import MODEL_FAMILIES, build_model
from stillhouse.models.family import Family
from stillhouse.models.lenet import build_lenet
from stillhouse.models.plain import build_convnet, build_mlp
from stillhouse.models.resnet import build_resnet, build_resnet_of_width, build_resnet_x4
from stillhouse.models.vgg import build_vgg
from stillhouse.models.weights import describe
from stillhouse.models.wide_resnet import build_wide_resnet

Ladder = Sequence[str]
"""Names of a family, the smaller ones first."""


def thinner(
    name: str, *, ratio: float, classes: int, channels: int = 3, size: int | None = None
) -> str:
    """The largest network of a family with at most a share of the parameters of one of it.

    ResNets and VGGs lose blocks, wide ResNets blocks or width, plain networks width in all layers
    alike. None is deeper or wider than the teacher. A ResNet for which even resnet8 is too large
    becomes a narrower one (resnet8w8).

    Args:
        name: of the teacher, from the catalogue ('stillhouse ls models').
        ratio: of the teacher's parameters, the share that the student may have, in (0, 1).
        classes, channels, size: of the data, as for `build_model`.

    Raises:
        ModelError: the ratio is out of range, the family has no smaller network, or none so small.

    >>> thinner("resnet56", ratio=0.5, classes=100), thinner("vgg13", ratio=0.5, classes=100)
    ('resnet20', 'vgg8')
    >>> [thinner("wrn_40_2", ratio=share, classes=100) for share in (0.4, 0.1)]
    ['wrn_16_2', 'wrn_16_1']
    """
    if not 0 < ratio < 1:
        raise ModelError(f"ratio is {ratio}; give a share between 0 and 1, such as 0.5")
    parameters = partial(_parameters, classes=classes, channels=channels, size=size)
    family, found = _family(name)
    make = LADDERS.get(family.build)
    if make is None:
        raise ModelError(
            f"'{name}' has no smaller network of its family that could be chosen by a ratio; name "
            "the student yourself ('stillhouse ls models' lists all), or derive it by low_rank, "
            "depthwise or prune"
        )
    limit = ratio * parameters(name)
    ladders = [ladder for ladder in make(found) if ladder]
    fitting = [at for ladder in ladders if (at := _climb(ladder, limit, parameters)) is not None]
    if not fitting:
        smallest = min((ladder[0] for ladder in ladders), key=parameters, default=None)
        if smallest is None:
            raise ModelError(f"'{name}' is the smallest of its family; name the student yourself")
        share = parameters(smallest) / parameters(name)
        raise ModelError(
            f"'{name}' has no network of its family with {ratio:g} of its parameters; the "
            f"smallest, {smallest}, has {share:.3f}"
        )
    return max(fitting, key=parameters)


def _parameters(name: str, *, classes: int, channels: int, size: int | None) -> int:
    with torch.device("meta"):  # counted without being made
        return describe(build_model(name, classes=classes, channels=channels, size=size)).parameters


def _climb(ladder: Ladder, limit: float, parameters: Callable[[str], int]) -> str | None:
    """The largest name of a ladder that is not above a limit."""
    steps = bisect_right(ladder, limit, key=parameters)
    return ladder[steps - 1] if steps else None


def _family(name: str) -> tuple[Family, re.Match[str]]:
    for family in MODEL_FAMILIES:
        found = family.match(name)
        if found is not None:
            return family, found
    raise ModelError(
        f"'{name}' is no model of the catalogue, so nothing is known of its family; name the "
        "student yourself, or derive it by low_rank, depthwise or prune"
    )


def _below(examples: Ladder, name: str) -> Ladder:
    return examples[: examples.index(name)]


def _named(found: re.Match[str]) -> list[Ladder]:
    """The names before it in the catalogue."""
    family, _ = _family(found[0])
    return [_below(family.examples, found[0])]


def _resnet(found: re.Match[str]) -> list[Ladder]:
    """Shallower ones of the paper, and narrower ones of depth 8; resnet8 itself is 16 wide."""
    return [*_named(found), [f"resnet8w{width}" for width in range(1, 16)]]


def _resnet_of_width(found: re.Match[str]) -> list[Ladder]:
    deep, wide = int(found["depth"]), int(found["width"])
    return _grid(range(8, deep + 1, 6), wide, "resnet{}w{}", found[0])


def _wide_resnet(found: re.Match[str]) -> list[Ladder]:
    deep, wide = int(found["depth"]), int(found["factor"])
    return _grid(range(10, deep + 1, 6), wide, "wrn_{}_{}", found[0])


def _grid(depths: range, wide: int, form: str, name: str) -> list[Ladder]:
    names = [[form.format(depth, width) for width in range(1, wide + 1)] for depth in depths]
    return [[each for each in ladder if each != name] for ladder in names]


def _lenet(found: re.Match[str]) -> list[Ladder]:
    return [[] if found["half"] else ["lenet5_half"]]


def _widths(found: re.Match[str]) -> list[Ladder]:
    """All widths times 1 to 99 hundredths."""
    kind, *widths = found[0].split("-")
    scaled = [
        "-".join([kind, *(str(max(1, int(width) * share // 100)) for width in widths)])
        for share in range(1, 100)
    ]
    return [[each for each in dict.fromkeys(scaled) if each != found[0]]]


LADDERS: dict[Callable[..., object], Callable[[re.Match[str]], list[Ladder]]] = {
    build_resnet: _resnet,
    build_resnet_x4: _named,
    build_resnet_of_width: _resnet_of_width,
    build_wide_resnet: _wide_resnet,
    build_vgg: _named,
    build_lenet: _lenet,
    build_convnet: _widths,
    build_mlp: _widths,
}
"""Of each family that has smaller members, in each direction."""
