"""Networks by the names of timm and torchvision: classes, channels, weights, refusals."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from stillhouse.errors import ModelError
from stillhouse.models import build_model, comes_trained

pytestmark = pytest.mark.ecosystem


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Weights that would be fetched are those of a network made here; what was asked is kept."""
    asked: list[dict[str, Any]] = []

    def of_timm(network: nn.Module, **settings: Any) -> None:
        asked.append(settings)

    def of_torchvision(weights: Any, *_: Any, **settings: Any) -> dict[str, torch.Tensor]:
        asked.append({"weights": str(weights)})
        return models.get_model(MADE[str(weights).partition("_W")[0]]).state_dict()

    monkeypatch.setattr("timm.models._builder.load_pretrained", of_timm)
    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", of_torchvision)
    return asked


MADE = {"ResNet18": "resnet18", "SqueezeNet1_1": "squeezenet1_1"}


def test_timm_gets_classes_channels_and_the_wish_for_weights(no_download) -> None:
    net = build_model("timm:resnet18", classes=7)
    assert (net.fc.out_features, net.conv1.in_channels, no_download) == (7, 3, [])
    net = build_model("timm:resnet18.a1_in1k:pretrained", classes=7, channels=1)
    assert (net.fc.out_features, net.conv1.in_channels) == (7, 1)
    assert [(each["num_classes"], each["in_chans"]) for each in no_download] == [(7, 1)]


def test_torchvision_gets_classes() -> None:
    assert build_model("torchvision:resnet18", classes=7).fc.out_features == 7


def test_torchvision_pretrained_gets_a_fresh_last_layer(no_download) -> None:
    name = "torchvision:resnet18:pretrained"
    net = build_model(name, classes=7)
    assert (net.fc.in_features, net.fc.out_features) == (512, 7)
    assert build_model(name, classes=1000).fc.out_features == 1000
    assert no_download == [{"weights": "ResNet18_Weights.IMAGENET1K_V1"}] * 2
    with pytest.raises(ModelError, match="no linear layer to replace for 7 classes"):
        build_model("torchvision:squeezenet1_1:pretrained", classes=7)


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_names_that_are_not_there(package: str) -> None:
    with pytest.raises(
        ModelError, match=rf"{package} has no model 'resnet19'; nearest: .*resnet18"
    ):
        build_model(f"{package}:resnet19", classes=7)


def test_channels_that_cannot_be() -> None:
    with pytest.raises(ModelError, match="3 channels, asked for 1"):
        build_model("torchvision:resnet18", classes=7, channels=1)


def test_pretrained_names_come_trained_for_their_own_classes_only() -> None:
    assert comes_trained("timm:resnet18:pretrained", 1000)
    assert comes_trained("timm:resnet18.a1_in1k:pretrained", 1000)
    assert not comes_trained("timm:resnet18:pretrained", 10)
    assert not comes_trained("timm:resnet18", 1000)
    assert comes_trained("torchvision:resnet18:pretrained", 1000)
    assert not comes_trained("torchvision:resnet18:pretrained", 100)
