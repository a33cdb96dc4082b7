"""Levels of real families, of transformers, and of networks that cannot be tapped everywhere."""

import pytest
import torch
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models import build_model
from stillhouse.pairing import heard_maps, levels


@pytest.mark.parametrize(
    ("name", "taps"),
    [
        ("resnet20", ["layer1", "layer2", "layer3"]),
        ("wrn_16_2", ["layer1", "layer2", "layer3"]),
        ("resnet8x4", ["layer1", "layer2", "layer3"]),
    ],
)
def test_the_levels_of_residual_networks_are_their_stages(name: str, taps: list[str]) -> None:
    found = levels(build_model(name, classes=10), torch.zeros(2, 3, 32, 32))
    assert [level.tap for level in found] == taps
    assert [level.resolution for level in found] == [1024, 256, 64]


@pytest.mark.parametrize("name", ["vgg8", "mobilenet_v2", "shufflenet_v1", "convnet-8-16-32-128"])
def test_every_family_has_levels_of_falling_resolution(name: str) -> None:
    module = build_model(name, classes=10)
    found = levels(module, torch.zeros(2, 3, 32, 32))
    sizes = [level.resolution for level in found]
    assert len(found) >= 2
    assert sizes == sorted(set(sizes), reverse=True)
    for level in found:
        module.get_submodule(level.tap)


class Blocks(nn.Module):
    """Tokens of one resolution, as a transformer has them."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(count))
        self.fc = nn.Linear(8, 5)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.patches(image).flatten(2).mT
        for block in self.blocks:
            tokens = tokens + block(tokens)
        return self.fc(tokens.mean(1))


def test_tokens_are_heard_at_each_third_of_the_blocks() -> None:
    found = levels(Blocks(6), torch.zeros(2, 3, 16, 16))
    assert [level.tap for level in found] == ["blocks.1", "blocks.3", "blocks.5"]
    assert [level.tap for level in levels(Blocks(2), torch.zeros(2, 3, 16, 16))] == ["blocks.1"]


def test_a_convnet_that_flattens_its_last_map_keeps_its_levels() -> None:
    """[B, C, positions] looks like tokens; the maps before it are levels all the same."""
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU()),
        nn.Flatten(2), nn.Flatten(), nn.Linear(512, 5),
    )  # fmt: skip
    found = levels(net, torch.zeros(2, 3, 16, 16))
    assert [(level.tap, level.shape) for level in found] == [("0", (4, 16, 16)), ("1", (8, 8, 8))]


def test_what_is_changed_in_place_or_runs_twice_is_left_out() -> None:
    relu = nn.ReLU()
    twice = nn.Sequential(nn.Conv2d(3, 4, 1), relu, nn.Conv2d(4, 4, 1), relu)
    assert list(heard_maps(twice, torch.zeros(1, 3, 4, 4))) == ["0", "2"]
    changed = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    assert list(heard_maps(changed, torch.zeros(1, 3, 4, 4))) == ["0", "2"]


def test_looking_leaves_no_trace() -> None:
    module = build_model("resnet8", classes=4).train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    levels(module, torch.randn(4, 3, 32, 32))
    assert all(part.training for part in module.modules())
    assert not any(part._forward_hooks for part in module.modules())
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def test_networks_without_maps_and_wrong_images_are_told() -> None:
    with pytest.raises(ModelError, match=r"gives no maps .* name the pairs"):
        levels(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.zeros(2, 3, 2, 2))
    with pytest.raises(ModelError, match="does not take images"):
        levels(nn.Sequential(nn.Conv2d(1, 2, 3)), torch.zeros(2, 3, 8, 8))

    class Silent(nn.Module):
        def forward(self, _: torch.Tensor) -> torch.Tensor:
            raise AssertionError

    with pytest.raises(ModelError, match=r"does not take images \[3, 8, 8\]: AssertionError"):
        levels(Silent(), torch.zeros(2, 3, 8, 8))
