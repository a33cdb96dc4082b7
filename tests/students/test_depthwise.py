"""Separable convolutions: exact where the teacher's are separable, closest where they are not."""

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse.models import build_model
from stillhouse.students.depthwise import closest, depthwise, separate

SETTINGS = [
    {"padding": 1},
    {"padding": 2, "dilation": 2, "stride": 2},
    {"padding": "same", "bias": False},
    {"padding": 1, "padding_mode": "circular", "stride": 2},
    {"padding": 1, "groups": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_separable_convolution_is_found_again(settings: dict) -> None:
    layer = nn.Conv2d(4, 8, 3, **settings)
    with torch.no_grad():
        if layer.groups == 1:
            layer.weight.copy_(torch.randn(8, 4, 1, 1) * torch.randn(1, 4, 3, 3))
        else:  # each input channel belongs to a group, and so does its filter
            filters = torch.randn(2, 1, 2, 3, 3)
            layer.weight.copy_((torch.randn(2, 4, 2, 1, 1) * filters).reshape(8, 2, 3, 3))
    image = torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(separate(layer)(image), layer(image), rtol=1e-5, atol=1e-5)


def test_the_pair_is_the_closest_of_each_input_channel() -> None:
    weight = torch.randn(6, 4, 3, 3)
    filters, mixture = closest(weight)
    w, product = weight.double().numpy(), (mixture * filters.transpose(0, 1)).numpy()
    for channel in range(4):
        s = np.linalg.svd(w[:, channel].reshape(6, 9), compute_uv=False)
        left = ((w[:, channel] - product[:, channel]) ** 2).sum()
        assert left == pytest.approx((s[1:] ** 2).sum(), rel=1e-6)


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_2", "vgg8", "convnet-8-16-32"])
def test_networks_get_smaller_and_keep_stem_and_classifier(name: str) -> None:
    teacher = build_model(name, classes=10)
    made = depthwise(teacher)
    kept = {kept.path for kept in made.kept}
    stem = next(path for path, part in teacher.named_modules() if isinstance(part, nn.Conv2d))
    assert stem in kept
    assert made.changes
    assert all(change.after < change.before for change in made.changes)
    assert sum(p.numel() for p in made.module.parameters()) < 0.35 * sum(
        p.numel() for p in teacher.parameters()
    )
    image = torch.randn(2, 3, 32, 32)
    assert made.module(image).shape == teacher(image).shape


def test_what_is_thin_already_stays() -> None:
    made = depthwise(build_model("mobilenet_v2", classes=10))
    assert {kept.why for kept in made.kept} == {"asked for", "1x1 already", "depthwise already"}
    assert not made.changes
    tiny = depthwise(nn.Sequential(nn.Conv2d(8, 1, 3), nn.Conv2d(1, 1, 3)), keep=[])
    assert [kept.why for kept in tiny.kept] == ["two layers would not be smaller"] * 2


def test_all_can_be_asked_for() -> None:
    made = depthwise(build_model("convnet-8-16", classes=10), keep=[])
    assert [change.path for change in made.changes] == ["layer1.conv", "layer2.conv"]
