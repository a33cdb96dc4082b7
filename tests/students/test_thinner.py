"""The next smaller name: within the share, and the largest such in each direction."""

import pytest

from stillhouse.errors import ModelError
from stillhouse.models import build_model, describe
from stillhouse.students.thinner import thinner


def size_of(name: str) -> int:
    return describe(build_model(name, classes=10, size=32)).parameters


@pytest.mark.parametrize(
    ("name", "ratio", "smaller"),
    [
        ("resnet56", 0.5, "resnet20"),
        ("resnet20", 0.2, "resnet8w13"),
        ("resnet32x4", 0.5, "resnet8x4"),
        ("resnet20w4", 0.5, "resnet14w3"),
        ("wrn_40_2", 0.4, "wrn_16_2"),
        ("wrn_40_2", 0.1, "wrn_16_1"),
        ("vgg13", 0.5, "vgg8"),
        ("lenet5", 0.7, "lenet5_half"),
        ("mlp-64-32", 0.5, "mlp-32-16"),
    ],
)
def test_the_next_smaller_name(name: str, ratio: float, smaller: str) -> None:
    assert thinner(name, ratio=ratio, classes=10, size=32) == smaller
    assert size_of(smaller) <= ratio * size_of(name)


def test_widths_are_scaled_alike_and_use_what_they_may() -> None:
    name = thinner("convnet-40-80-160", ratio=0.5, classes=10)
    widths = [int(width) for width in name.split("-")[1:]]
    assert widths[1] / widths[0] == pytest.approx(2, rel=0.05)
    assert 0.47 * size_of("convnet-40-80-160") < size_of(name) <= 0.5 * size_of("convnet-40-80-160")


@pytest.mark.parametrize(
    ("name", "ratio", "said"),
    [
        ("lenet5", 0.5, "lenet5_half, has 0.58"),
        ("lenet5_half", 0.5, "smallest of its family"),
        ("mobilenet_v2", 0.5, "name the student yourself"),
        ("timm:resnet50", 0.5, "name the student yourself"),
        ("my-net", 0.5, "no model of the catalogue"),
        ("resnet20", 1.0, "ratio is 1.0"),
    ],
)
def test_what_has_none(name: str, ratio: float, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        thinner(name, ratio=ratio, classes=10)
