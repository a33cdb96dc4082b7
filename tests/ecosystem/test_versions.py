"""The environment of this folder holds what it says: the newest packages, the real ones."""

import importlib

import pytest
import torch

from stillhouse.models import build_model

pytestmark = pytest.mark.ecosystem


@pytest.mark.parametrize(
    "package",
    [
        "timm", "torchvision", "transformers", "onnxruntime", "webdataset",
        "pytorch_metric_learning",
    ],
)  # fmt: skip
def test_the_real_package_is_here(package: str) -> None:
    found = importlib.import_module(package)
    assert found.__file__ is not None
    assert "site-packages" in found.__file__


def test_networks_of_the_packages_answer_for_the_classes_asked() -> None:
    images = torch.zeros(2, 3, 64, 64)
    for name in ("timm:resnet18", "torchvision:resnet18"):
        network = build_model(name, classes=7).eval()
        assert tuple(network(images).shape) == (2, 7)
