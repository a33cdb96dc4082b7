"""Layers and heads of real architectures, beside what their authors call stages, by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn

from stillhouse.engine.maps import MapLayout
from stillhouse.engine.nodes import Role
from stillhouse.errors import ModelError, WiringError
from stillhouse.methods import at, rkd
from stillhouse.models import build_model
from stillhouse.pairing import last_map, levels, propose
from stillhouse.students.quantised import quantised

pytestmark = pytest.mark.ecosystem

CLASSES = 5


def of_timm(name: str, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=CLASSES, **settings)


def of_torchvision(name: str, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: torchvision.models.get_model(name, weights=None, num_classes=CLASSES, **settings)


def of_transformers(name: str, **settings: Any) -> Callable[[], nn.Module]:
    config = getattr(transformers, f"{name}Config")
    made = getattr(transformers, f"{name}ForImageClassification")
    return lambda: made(config(num_labels=CLASSES, **settings))


TOKENS = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 64}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
DINO = {"hidden_size": 32, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}

# name: (how it is made, side of its images, levels, last map, head)
LAYERS: dict[str, tuple[Callable[[], nn.Module], int, str, str, str]] = {
    "timm resnet50": (of_timm("resnet50"), 64, "act1 layer1 layer2 layer3 layer4", "layer4", "fc"),
    "timm resnet26d": (
        of_timm("resnet26d"), 64, "act1 layer1 layer2 layer3 layer4", "layer4", "fc"),
    "timm vgg11_bn": (
        of_timm("vgg11_bn"), 64,
        "features.2 features.6 features.13 features.20 features.27 features.28",
        "features.28", "head.fc"),
    "timm densenet121": (
        of_timm("densenet121"), 64,
        "features.norm0 features.denseblock1 features.denseblock2 features.denseblock3 "
        "features.norm5", "features.norm5", "classifier"),
    "timm efficientnet_b0": (
        of_timm("efficientnet_b0"), 64, "blocks.0 blocks.1 blocks.2 blocks.4 blocks.6", "bn2",
        "classifier"),
    "timm mobilenetv2_035": (
        of_timm("mobilenetv2_035"), 64, "blocks.0 blocks.1 blocks.2 blocks.4 blocks.6", "bn2",
        "classifier"),
    "timm mobilenetv3_small_050": (
        of_timm("mobilenetv3_small_050"), 64, "bn1 blocks.0 blocks.1 blocks.3 blocks.5",
        "blocks.5", "classifier"),
    "timm mobilenetv4_conv_small_035": (
        of_timm("mobilenetv4_conv_small_035"), 64, "bn1 blocks.0 blocks.1 blocks.2 blocks.4",
        "blocks.4", "classifier"),
    "timm inception_v3": (
        of_timm("inception_v3"), 128, "Conv2d_2b_3x3 Conv2d_4a_3x3 Mixed_5d Mixed_6e Mixed_7c",
        "Mixed_7c", "fc"),
    "timm convnext_atto": (
        of_timm("convnext_atto"), 64, "stages.0 stages.1 stages.2 stages.3", "stages.3",
        "head.fc"),
    "timm regnetx_002": (of_timm("regnetx_002"), 64, "stem s1 s2 s3 s4", "s4", "head.fc"),
    "timm vit_tiny_patch16_224": (
        of_timm("vit_tiny_patch16_224", img_size=64), 64, "blocks.3 blocks.7 blocks.11", "norm",
        "head"),
    "timm deit_tiny_distilled_patch16_224": (
        of_timm("deit_tiny_distilled_patch16_224", img_size=64), 64,
        "blocks.3 blocks.7 blocks.11", "norm", "head"),
    "timm vit_small_patch14_reg4_dinov2": (
        of_timm("vit_small_patch14_reg4_dinov2", img_size=56), 56, "blocks.3 blocks.7 blocks.11",
        "norm", "head"),
    "timm swin_tiny_patch4_window7_224": (
        of_timm("swin_tiny_patch4_window7_224"), 224, "layers.0 layers.1 layers.2 layers.3",
        "norm", "head.fc"),
    "timm maxvit_rmlp_pico_rw_256": (
        of_timm("maxvit_rmlp_pico_rw_256", img_size=64), 64,
        "stem stages.0 stages.1 stages.2 stages.3", "norm", "head.fc"),
    "timm levit_128s": (
        of_timm("levit_128s"), 224, "stages.0 stages.1 stages.2", "stages.2", "head.linear"),
    "timm mixer_s32_224": (
        of_timm("mixer_s32_224"), 224, "blocks.1 blocks.4 blocks.7", "norm", "head"),
    "timm resmlp_12_224": (
        of_timm("resmlp_12_224"), 224, "blocks.3 blocks.7 blocks.11", "norm", "head"),
    "timm poolformer_s12": (
        of_timm("poolformer_s12"), 64, "stages.0 stages.1 stages.2 stages.3", "stages.3",
        "head.fc"),
    "torchvision resnet18": (
        of_torchvision("resnet18"), 64, "relu layer1 layer2 layer3 layer4", "layer4", "fc"),
    "torchvision efficientnet_b0": (
        of_torchvision("efficientnet_b0"), 64,
        "features.1 features.2 features.3 features.5 features.7", "features.8", "classifier.1"),
    "torchvision mobilenet_v2": (
        of_torchvision("mobilenet_v2"), 64,
        "features.1 features.3 features.6 features.13 features.17", "features.18",
        "classifier.1"),
    "torchvision googlenet": (
        of_torchvision("googlenet", init_weights=False, aux_logits=False), 64,
        "conv1 conv3 inception3b inception4e inception5b", "inception5b", "fc"),
    "torchvision vit_b_16": (
        of_torchvision("vit_b_16", image_size=32), 32,
        "encoder.layers.encoder_layer_3 encoder.layers.encoder_layer_7 "
        "encoder.layers.encoder_layer_11", "encoder", "heads.head"),
    "torchvision swin_t": (
        of_torchvision("swin_t"), 64, "features.1 features.3 features.5 features.7", "permute",
        "head"),
    "torchvision squeezenet1_1": (
        of_torchvision("squeezenet1_1"), 64, "features.1 features.4 features.7 features.12",
        "features.12", "classifier.1"),
    "torchvision shufflenet_v2_x0_5": (
        of_torchvision("shufflenet_v2_x0_5"), 64, "conv1 maxpool stage2 stage3 stage4", "conv5",
        "fc"),
    "transformers ViT": (
        of_transformers("ViT", num_hidden_layers=6, **TOKENS), 64,
        "vit.layers.1 vit.layers.3 vit.layers.5", "vit.layernorm", "classifier"),
    "transformers DeiT": (
        of_transformers("DeiT", num_hidden_layers=6, **TOKENS), 64,
        "deit.layers.1 deit.layers.3 deit.layers.5", "deit.layernorm", "classifier"),
    "transformers Beit": (
        of_transformers("Beit", num_hidden_layers=3, **TOKENS), 64,
        "beit.layers.0 beit.layers.1 beit.layers.2", "beit.layers.2", "classifier"),
    "transformers Dinov2WithRegisters": (
        of_transformers("Dinov2WithRegisters", num_hidden_layers=6, **DINO), 56,
        "dinov2_with_registers.encoder.layer.1 dinov2_with_registers.encoder.layer.3 "
        "dinov2_with_registers.encoder.layer.5", "dinov2_with_registers.layernorm",
        "classifier"),
    "transformers Swin": (
        of_transformers("Swin", embed_dim=12, depths=[1, 1, 2, 1], num_heads=[1, 2, 3, 6]), 224,
        "swin.encoder.layers.0.blocks.0 swin.encoder.layers.1.blocks.0 "
        "swin.encoder.layers.2.blocks.1 swin.encoder.layers.3", "swin.layernorm", "classifier"),
    "transformers ConvNext": (
        of_transformers("ConvNext", **STAGES), 64,
        "convnext.encoder.stages.0 convnext.encoder.stages.1 convnext.encoder.stages.2 "
        "convnext.encoder.stages.3", "convnext.encoder.stages.3", "classifier"),
    "transformers ResNet": (
        of_transformers("ResNet", embedding_size=8, **STAGES), 64,
        "resnet.embedder.embedder resnet.encoder.stages.0 resnet.encoder.stages.1 "
        "resnet.encoder.stages.2 resnet.encoder.stages.3", "resnet.encoder.stages.3",
        "classifier.1"),
    "transformers MobileViT": (
        of_transformers("MobileViT", image_size=64), 64,
        "mobilevit.encoder.layer.0 mobilevit.encoder.layer.1 mobilevit.encoder.layer.2 "
        "mobilevit.encoder.layer.3 mobilevit.encoder.layer.4", "mobilevit.conv_1x1_exp",
        "classifier"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_levels_last_map_and_head_are_those_of_its_authors(name: str) -> None:
    make, side, taps, last, head = LAYERS[name]
    module, image = make(), torch.randn(2, 3, side, side)
    found = levels(module, image)
    assert " ".join(level.tap for level in found) == taps
    sizes = [level.shape[1:] for level in found]
    assert all(height == width > 1 for height, width in sizes)  # the images are square
    assert sizes == sorted(sizes, reverse=True)
    assert last_map(module, image) == last
    assert Role("teacher", module).head == head


def test_there_are_at_least_twenty_five() -> None:
    assert len(LAYERS) >= 25


PAIRS = [
    ("timm resnet50", "torchvision resnet18"),
    ("timm vit_tiny_patch16_224", "torchvision mobilenet_v2"),
    ("torchvision swin_t", "transformers ConvNext"),
]


@pytest.mark.parametrize(("teacher", "student"), PAIRS)
def test_pairs_of_likeness_are_in_order_and_no_part_of_an_attention(
    teacher: str, student: str
) -> None:
    torch.manual_seed(0)
    theirs, mine, image = LAYERS[teacher][0](), LAYERS[student][0](), torch.randn(4, 3, 64, 64)
    pairs = propose(mine, theirs, image, by="auto")
    expected = LAYERS[student][2].split()
    assert {tap for tap, _ in pairs} <= set(expected)
    assert [tap for tap in expected if tap in dict(pairs)] == [tap for tap, _ in pairs]
    assert not any("attn" in tap or "attention" in tap for _, tap in pairs)


def signals(module: nn.Module, tap: str, image: torch.Tensor) -> torch.Tensor:
    role = Role("teacher", module.eval())
    role.open([tap])
    try:
        with torch.no_grad():
            return role.run({"batch.image": image})[f"teacher.{tap}"]
    finally:
        role.close()


def test_registers_are_left_out_and_patches_stand_where_they_are() -> None:
    module = LAYERS["timm vit_small_patch14_reg4_dinov2"][0]()
    image = torch.randn(2, 3, 56, 56)
    tokens = signals(module, "blocks.3", image)
    assert tokens.shape == (2, 5 + 16, 384)
    read = signals(module, "blocks.3:as_map", image)
    for row in range(4):
        for column in range(4):
            assert torch.equal(read[:, :, row, column], tokens[:, 5 + 4 * row + column])


@pytest.mark.parametrize(
    ("name", "tap", "shape"),
    [
        ("timm swin_tiny_patch4_window7_224", "layers.0", (2, 56, 56, 96)),
        ("torchvision swin_t", "features.1", (2, 16, 16, 96)),
    ],
)
def test_channels_last_are_recognised(name: str, tap: str, shape: tuple[int, ...]) -> None:
    make, side, *_ = LAYERS[name]
    module, image = make(), torch.randn(2, 3, side, side)
    given = signals(module, tap, image)
    assert given.shape == shape
    assert torch.equal(signals(module, f"{tap}:as_map", image), given.permute(0, 3, 1, 2))


def test_tokens_in_the_order_of_windows_are_refused() -> None:
    module, image = of_timm("hiera_tiny_224")(), torch.zeros(2, 3, 224, 224)
    for find in (levels, last_map):
        with pytest.raises(ModelError, match="order of its windows"):
            find(module, image)
    with pytest.raises(WiringError, match=r"tap 'blocks\.2' gives .* no map"):
        signals(module, "blocks.2:as_map", image)


def test_a_rectangle_of_patches_is_no_row() -> None:
    module = of_timm("vit_tiny_patch16_224", img_size=(64, 32))()
    layout = MapLayout.of(module)
    read = layout.read(torch.zeros(2, 9, 192), torch.Size([2, 3, 64, 32]))
    assert read is not None
    assert read.shape == (2, 192, 4, 2)


@pytest.mark.parametrize(
    "name", ["timm deit_tiny_distilled_patch16_224", "torchvision squeezenet1_1"]
)
def test_methods_of_embeddings_and_of_maps_take_heads_of_another_kind(name: str) -> None:
    make, side, *_ = LAYERS[name]
    images, labels = torch.randn(4, 3, side, side), torch.tensor([0, 1, 2, 3])
    small = build_model("resnet8", classes=CLASSES)
    for stage in (rkd(small, make()), at(small, make(), pairs="levels")):
        with stage.open(images, labels) as objective:
            assert torch.isfinite(objective(images, labels).loss)


def test_arguments_reach_timm_and_what_it_does_not_take_is_told() -> None:
    name = "timm:vit_tiny_patch16_224"
    net = build_model(name, classes=3, arguments={"img_size": 32, "drop_path_rate": 0.1})
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    assert net.blocks[11].drop_path1.drop_prob == pytest.approx(0.1)
    with pytest.raises(ModelError, match=r"cannot be built with arguments .*no_such"):
        build_model(name, classes=3, arguments={"no_such": 1})
    with pytest.raises(ModelError, match="did you mean timm:convnext_atto"):
        build_model("convnext_atto", classes=3)


def test_a_folder_of_transformers_is_read_and_an_absent_name_is_one_sentence(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = LAYERS["transformers ResNet"][0]()
    known.save_pretrained(tmp_path)
    taken = build_model(f"hf:{tmp_path}:pretrained", classes=CLASSES)
    assert all(torch.equal(v, known.state_dict()[k]) for k, v in taken.state_dict().items())
    image = torch.zeros(1, 3, 64, 64)
    fresh = build_model(f"hf:{tmp_path}", classes=3).eval()
    assert fresh(image).logits.shape == (1, 3)
    with pytest.raises(ModelError, match=r"no setting 'no_such'"):
        build_model(f"hf:{tmp_path}", classes=3, arguments={"no_such": 1})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"no folder 'no/such', and the hub .*hf:FOLDER"):
        build_model("hf:no/such", classes=3)


def test_mobilenetv4_is_rounded_and_the_keep_that_a_message_names_works() -> None:
    image = torch.zeros(2, 3, 64, 64)
    quantised(of_timm("mobilenetv4_conv_small_035")(), image)
    same = of_timm("tf_efficientnet_b0")()
    with pytest.raises(ModelError) as refused:
        quantised(same, image)
    named = str(refused.value).partition("keep: [")[2].partition("]")[0].split(", ")
    assert "conv_stem" in named
    quantised(same, image, keep=named)
