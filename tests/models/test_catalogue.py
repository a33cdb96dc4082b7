import subprocess
import sys

import pytest

from stillhouse.errors import ModelError
from stillhouse.models import MODEL_FAMILIES, build_model, model_names


@pytest.mark.parametrize("name", model_names())
def test_each_name_belongs_to_exactly_one_family(name):
    assert sum(family.match(name) is not None for family in MODEL_FAMILIES) == 1


def test_a_file_that_is_not_there_is_no_misspelt_network():
    with pytest.raises(ModelError, match=r"no file 'best\.pth'; .*\{model: NAME, weights: FILE\}"):
        build_model("best.pth", classes=2)


def test_names_are_unique_and_families_documented():
    assert len(set(model_names())) == len(model_names())
    for family in MODEL_FAMILIES:
        assert family.examples
        assert family.line.endswith(".")
        assert family.paper not in ("none", "the model's own")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet21", "resnet20"),
        ("resnet18", "resnet8"),
        ("wrn-40-2", "wrn_40_2"),
        ("MobileNetV2", "mobilenet_v2"),
        ("vgg14", "vgg13"),
    ],
)
def test_unknown_name_says_what_is_near(name, near):
    with pytest.raises(ModelError, match=f"no model '{name}'; nearest: .*{near}"):
        build_model(name, classes=10)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "resnet",
        "resnet20 ",
        "resnet020w4",
        "resnet8w0",
        "resnet8w99999",
        "wrn_16",
        "vgg13\n",
        "convnet-",
        "convnet-8--4",
        "mlp-1e3",
        "vit-192-6",
        "deit-192-6-3-p",
        "timm:",
        "timm:hf-hub:someone/model",
    ],
)
def test_names_that_only_resemble_a_pattern(name):
    with pytest.raises(ModelError, match="there is no model"):
        build_model(name, classes=10)


@pytest.mark.parametrize("wrong", [{"classes": 0}, {"channels": 0}, {"size": -1}])
def test_numbers_below_one(wrong):
    with pytest.raises(ModelError, match=f"{next(iter(wrong))} is .*at least 1"):
        build_model("mlp-4", **({"classes": 2, "size": 8} | wrong))


def test_import_asks_for_no_optional_package():
    code = (
        "import sys; sys.modules.update(timm=None, torchvision=None); import stillhouse.models;"
        "print(len(stillhouse.models.model_names()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(model_names())
