import torch
from torch import nn

from stillhouse.models import build_model, describe
from stillhouse.models.mobilenet import InvertedResidual


def test_parameters_are_those_of_the_literature():
    assert describe(build_model("mobilenet_v2", classes=100)).parameters == 812_836


def test_stages_have_the_shapes_of_the_benchmark():
    network = build_model("mobilenet_v2", classes=5).eval()
    seen = {}
    for name, module in network.named_children():
        module.register_forward_hook(
            lambda _m, _i, out, name=name: seen.update({name: tuple(out.shape[1:])})
        )
    network(torch.zeros(1, 3, 32, 32))
    assert seen == {
        "conv1": (16, 16, 16),
        "layer1": (8, 16, 16),
        "layer2": (12, 16, 16),
        "layer3": (16, 8, 8),
        "layer4": (32, 4, 4),
        "layer5": (48, 4, 4),
        "layer6": (80, 2, 2),
        "layer7": (160, 2, 2),
        "conv2": (1280, 2, 2),
        "avgpool": (1280, 1, 1),
        "fc": (5,),
    }


def test_shortcut_only_where_shape_stays():
    same = InvertedResidual(4, 4, stride=1, expansion=2).eval()
    x = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(same(x), x + same.conv(x))
    for other in (
        InvertedResidual(4, 4, stride=2, expansion=2).eval(),
        InvertedResidual(4, 6, stride=1, expansion=2).eval(),
    ):
        torch.testing.assert_close(other(x), other.conv(x))


def test_each_block_is_thin_wide_thin_and_ends_linear():
    for block in build_model("mobilenet_v2", classes=5).modules():
        if isinstance(block, InvertedResidual):
            expand, depthwise, project = (
                layer for layer in block.conv if isinstance(layer, nn.Conv2d)
            )
            assert depthwise.groups == depthwise.in_channels == expand.out_channels
            assert expand.in_channels <= expand.out_channels == project.in_channels
            assert isinstance(block.conv[-1], nn.BatchNorm2d)
