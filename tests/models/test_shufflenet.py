import pytest
import torch

from stillhouse.models import build_model, describe
from stillhouse.models.shufflenet import GroupedUnit, SplitUnit, shuffle_channels


@pytest.mark.parametrize(
    ("name", "parameters"), [("shufflenet_v1", 949_258), ("shufflenet_v2", 1_355_528)]
)
def test_parameters_are_those_of_the_literature(name, parameters):
    assert describe(build_model(name, classes=100)).parameters == parameters


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_shuffle_against_a_loop(groups):
    x = torch.randn(2, 6, 3, 4)
    per_group = 6 // groups
    expected = torch.empty_like(x)
    for group in range(groups):
        for index in range(per_group):
            expected[:, index * groups + group] = x[:, group * per_group + index]
    assert torch.equal(shuffle_channels(x, groups), expected)


def test_strided_unit_concatenates_the_pooled_input_and_the_other_adds_it():
    x = torch.randn(1, 12, 6, 6)
    down = GroupedUnit(12, 24, stride=2).eval()
    pooled = torch.nn.functional.avg_pool2d(x, 3, 2, padding=1).clamp(min=0)
    torch.testing.assert_close(down(x)[:, 12:], pooled)
    level = GroupedUnit(12, 12, stride=1).eval()
    with torch.no_grad():
        level.bn3.weight.zero_()
    torch.testing.assert_close(level(x), x.clamp(min=0))


def test_half_of_the_channels_pass_a_unit_of_v2_untouched():
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(SplitUnit(8).eval()(x)[:, ::2], x[:, :4])


@pytest.mark.parametrize(
    ("name", "widths"), [("shufflenet_v1", (240, 480, 960)), ("shufflenet_v2", (116, 232, 464))]
)
def test_stages_have_the_shapes_of_the_benchmark(name, widths):
    network = build_model(name, classes=5).eval()
    seen = []
    for stage in (network.layer1, network.layer2, network.layer3):
        stage.register_forward_hook(lambda *call: seen.append(tuple(call[2].shape[1:])))
    network(torch.zeros(1, 3, 32, 32))
    assert seen == [(widths[0], 16, 16), (widths[1], 8, 8), (widths[2], 4, 4)]
    assert [len(network.layer1), len(network.layer2), len(network.layer3)] == [4, 8, 4]
