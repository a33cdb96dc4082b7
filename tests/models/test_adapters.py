import sys
from types import ModuleType, SimpleNamespace

import pytest
from torch import nn

from stillhouse.errors import MissingExtra, ModelError
from stillhouse.models import build_model, comes_trained


class Backbone(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.early = nn.Linear(3, 6)
        self.fc = nn.Sequential(nn.ReLU(), nn.Linear(6, classes))


@pytest.fixture
def timm(monkeypatch):
    asked = []

    def create_model(name, *, pretrained, num_classes, **stem):
        if name == "vit_fixed" and stem:
            raise TypeError("__init__() got an unexpected keyword argument 'in_chans'")
        asked.append((name, pretrained, num_classes, stem))
        return Backbone(num_classes)

    fake = ModuleType("timm")
    fake.list_models = lambda: ["resnet18", "resnet34", "vit_fixed"]
    fake.is_model = lambda name: name.split(".")[0] in fake.list_models()
    fake.create_model = create_model
    known = {"resnet18": SimpleNamespace(num_classes=1000)}
    fake.get_pretrained_cfg = known.get
    monkeypatch.setitem(sys.modules, "timm", fake)
    return asked


@pytest.fixture
def torchvision(monkeypatch):
    asked = []

    def get_model(name, *, weights, num_classes=1000):
        asked.append((name, weights, num_classes))
        return nn.Conv2d(3, num_classes, 1) if name == "squeezenet1_0" else Backbone(num_classes)

    models = ModuleType("torchvision.models")
    models.get_model = get_model
    models.list_models = lambda module: ["resnet18", "squeezenet1_0"] if module is models else []
    fake = ModuleType("torchvision")
    fake.models = models
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    return asked


def test_timm_gets_classes_channels_and_the_wish_for_weights(timm):
    build_model("timm:resnet18", classes=7)
    build_model("timm:resnet18:pretrained", classes=7, channels=1)
    build_model("timm:resnet34.a1_in1k:pretrained", classes=2)
    assert timm == [
        ("resnet18", False, 7, {}),
        ("resnet18", True, 7, {"in_chans": 1}),
        ("resnet34.a1_in1k", True, 2, {}),
    ]


def test_timm_faults_are_said(timm):
    with pytest.raises(ModelError, match="timm has no model 'resnet19'; nearest: resnet18"):
        build_model("timm:resnet19", classes=7)
    with pytest.raises(ModelError, match="3 channels, asked for 1"):
        build_model("timm:vit_fixed", classes=7, channels=1)


def test_torchvision_gets_classes(torchvision):
    network = build_model("torchvision:resnet18", classes=7)
    assert torchvision == [("resnet18", None, 7)]
    assert network.fc[1].out_features == 7


def test_torchvision_pretrained_gets_a_fresh_last_layer(torchvision):
    network = build_model("torchvision:resnet18:pretrained", classes=7)
    assert torchvision == [("resnet18", "DEFAULT", 1000)]
    assert (network.fc[1].in_features, network.fc[1].out_features) == (6, 7)
    assert network.early.out_features == 6
    whole = build_model("torchvision:resnet18:pretrained", classes=1000)
    assert whole.fc[1].out_features == 1000


def test_torchvision_faults_are_said(torchvision):
    with pytest.raises(ModelError, match="torchvision has no model 'resnet19'; nearest: resnet18"):
        build_model("torchvision:resnet19", classes=7)
    with pytest.raises(ModelError, match="3 channels, asked for 1"):
        build_model("torchvision:resnet18", classes=7, channels=1)
    with pytest.raises(ModelError, match="no linear layer to replace for 7 classes"):
        build_model("torchvision:squeezenet1_0:pretrained", classes=7)


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_absent_package(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"stillhouse\[{package}\]"):
        build_model(f"{package}:resnet18", classes=7)


def test_package_that_lacks_a_part_of_its_own_is_not_called_absent(monkeypatch, tmp_path):
    (tmp_path / "timm.py").write_text("import a_package_that_does_not_exist\n")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_does_not_exist"):
        build_model("timm:resnet18", classes=7)


def test_pretrained_names_come_trained_for_their_own_classes_only(timm):
    assert comes_trained("timm:resnet18:pretrained", 1000)
    assert not comes_trained("timm:resnet18:pretrained", 10)
    assert not comes_trained("timm:vit_fixed:pretrained", 1000)  # timm has no weights for it
    assert not comes_trained("timm:resnet18", 1000)
    assert comes_trained("torchvision:resnet18:pretrained", 1000)
    assert not comes_trained("torchvision:resnet18:pretrained", 100)
