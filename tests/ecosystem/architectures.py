"""Real architectures with their layers, as their packages give them or their sources say.

Levels are the outputs that end each resolution (its last block, else its last layer), written as
``tap=CHANNELSxSIDE`` for the square images given here; of a transformer, whose blocks have one
resolution, the blocks at each third. Each package is imported when one of its networks is built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

CLASSES = 5


@dataclass(frozen=True)
class Architecture:
    """A network and what is expected of it.

    Args:
        make: builds it, with random weights.
        side: of its images.
        levels: the ends of its resolutions, with the channels and the side of each map.
        last: the last map before its head.
        head: the module that gives its logits.
        extra: tokens before those of the patches (class, distillation, registers).
    """

    make: Callable[[], nn.Module]
    side: int
    levels: str
    last: str
    head: str
    extra: int = 0


def of_timm(name: str, **settings: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import timm

        return timm.create_model(name, num_classes=CLASSES, **settings)

    return make


def of_torchvision(name: str, **settings: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        from torchvision import models

        return models.get_model(name, weights=None, num_classes=CLASSES, **settings)

    return make


def small_maxvit() -> nn.Module:
    """`maxvit_t` of torchvision takes images of 224 only; this is its class for 64."""
    from torchvision import models

    return models.MaxVit(
        input_size=(64, 64), stem_channels=16, block_channels=[16, 32, 64, 128],
        block_layers=[1, 1, 2, 1], head_dim=16, stochastic_depth_prob=0.2, partition_size=2,
        num_classes=CLASSES,
    )  # fmt: skip


def of_transformers(
    name: str, *, teacher: bool = False, **settings: Any
) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import transformers

        config = getattr(transformers, f"{name}Config")(num_labels=CLASSES, **settings)
        kind = f"{name}ForImageClassification{'WithTeacher' if teacher else ''}"
        return getattr(transformers, kind)(config)

    return make


TOKENS = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 64}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
DINO = {"hidden_size": 32, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
WIDE = [128, 256, 384, 512]
EFFICIENT = {"width_coefficient": 0.5, "depth_coefficient": 0.4, "hidden_dim": 640}
WINDOWS = {"embed_dim": 12, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 3, 6]}
LEVIT = {"hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 2, 2], "depths": [1, 2, 1],
         "key_dim": [8, 8, 8], "image_size": 224}  # fmt: skip

LAYERS = {
    "timm resnet50": Architecture(
        of_timm("resnet50"), 64,
        "act1=64x32 layer1=256x16 layer2=512x8 layer3=1024x4 layer4=2048x2",
        "layer4", "fc"),
    "timm resnet26d": Architecture(
        of_timm("resnet26d"), 64,
        "act1=64x32 layer1=256x16 layer2=512x8 layer3=1024x4 layer4=2048x2",
        "layer4", "fc"),
    "timm vgg11_bn": Architecture(
        of_timm("vgg11_bn"), 64,
        "features.2=64x64 features.6=128x32 features.13=256x16 features.20=512x8 "
        "features.27=512x4 features.28=512x2",
        "features.28", "head.fc"),
    "timm densenet121": Architecture(
        of_timm("densenet121"), 64,
        "features.norm0=64x32 features.denseblock1=256x16 features.denseblock2=512x8 "
        "features.denseblock3=1024x4 features.norm5=1024x2",
        "features.norm5", "classifier"),
    "timm efficientnet_b0": Architecture(
        of_timm("efficientnet_b0"), 64,
        "blocks.0=16x32 blocks.1=24x16 blocks.2=40x8 blocks.4=112x4 blocks.6=320x2",
        "bn2", "classifier"),
    "timm mobilenetv2_035": Architecture(
        of_timm("mobilenetv2_035"), 64,
        "blocks.0=8x32 blocks.1=8x16 blocks.2=16x8 blocks.4=32x4 blocks.6=112x2",
        "bn2", "classifier"),
    "timm mobilenetv3_small_050": Architecture(
        of_timm("mobilenetv3_small_050"), 64,
        "bn1=16x32 blocks.0=8x16 blocks.1=16x8 blocks.3=24x4 blocks.5=288x2",
        "blocks.5", "classifier"),
    "timm mobilenetv4_conv_small_035": Architecture(
        of_timm("mobilenetv4_conv_small_035"), 64,
        "bn1=32x32 blocks.0=16x16 blocks.1=24x8 blocks.2=32x4 blocks.4=336x2",
        "blocks.4", "classifier"),
    "timm inception_v3": Architecture(
        of_timm("inception_v3"), 128,
        "Conv2d_2b_3x3=64x61 Conv2d_4a_3x3=192x28 Mixed_5d=288x13 Mixed_6e=768x6 "
        "Mixed_7c=2048x2",
        "Mixed_7c", "fc"),
    "timm convnext_atto": Architecture(
        of_timm("convnext_atto"), 64,
        "stages.0=40x16 stages.1=80x8 stages.2=160x4 stages.3=320x2",
        "stages.3", "head.fc"),
    "timm regnetx_002": Architecture(
        of_timm("regnetx_002"), 64,
        "stem=32x32 s1=24x16 s2=56x8 s3=152x4 s4=368x2",
        "s4", "head.fc"),
    "timm vit_tiny_patch16_224": Architecture(
        of_timm("vit_tiny_patch16_224", img_size=64), 64,
        "blocks.3=192x4 blocks.7=192x4 blocks.11=192x4",
        "norm", "head", extra=1),
    # Its head reads what an attention pools: keys and values in there are no map.
    "timm vit_pe_core_tiny_patch16_384": Architecture(
        of_timm("vit_pe_core_tiny_patch16_384", img_size=64), 64,
        "blocks.3=192x4 blocks.7=192x4 blocks.11=192x4",
        "norm", "head", extra=1),
    "timm deit_tiny_distilled_patch16_224": Architecture(
        of_timm("deit_tiny_distilled_patch16_224", img_size=64), 64,
        "blocks.3=192x4 blocks.7=192x4 blocks.11=192x4",
        "norm", "head", extra=2),
    "timm vit_small_patch14_reg4_dinov2": Architecture(
        of_timm("vit_small_patch14_reg4_dinov2", img_size=56), 56,
        "blocks.3=384x4 blocks.7=384x4 blocks.11=384x4",
        "norm", "head", extra=5),
    "timm swin_tiny_patch4_window7_224": Architecture(
        of_timm("swin_tiny_patch4_window7_224"), 224,
        "layers.0=96x56 layers.1=192x28 layers.2=384x14 layers.3=768x7",
        "norm", "head.fc"),
    "timm maxvit_rmlp_pico_rw_256": Architecture(
        of_timm("maxvit_rmlp_pico_rw_256", img_size=64), 64,
        "stem=32x32 stages.0=32x16 stages.1=64x8 stages.2=128x4 stages.3=256x2",
        "norm", "head.fc"),
    "timm levit_128s": Architecture(
        of_timm("levit_128s"), 224,
        "stages.0=128x14 stages.1=256x7 stages.2=384x4",
        "stages.2", "head.linear"),
    "timm mixer_s32_224": Architecture(
        of_timm("mixer_s32_224"), 224,
        "blocks.1=512x7 blocks.4=512x7 blocks.7=512x7",
        "norm", "head"),
    "timm resmlp_12_224": Architecture(
        of_timm("resmlp_12_224"), 224,
        "blocks.3=384x14 blocks.7=384x14 blocks.11=384x14",
        "norm", "head"),
    "timm poolformer_s12": Architecture(
        of_timm("poolformer_s12"), 64,
        "stages.0=64x16 stages.1=128x8 stages.2=320x4 stages.3=512x2",
        "stages.3", "head.fc"),
    "timm xcit_nano_12_p16_224": Architecture(
        of_timm("xcit_nano_12_p16_224", img_size=64), 64,
        "blocks.3=128x4 blocks.7=128x4 blocks.11=128x4",
        "norm", "head"),
    "timm beit_base_patch16_224": Architecture(
        of_timm("beit_base_patch16_224", img_size=64, depth=6, embed_dim=48, num_heads=2), 64,
        "blocks.1=48x4 blocks.3=48x4 blocks.5=48x4",
        "blocks.5", "head", extra=1),
    "timm eva02_tiny_patch14_224": Architecture(
        of_timm("eva02_tiny_patch14_224", img_size=56), 56,
        "blocks.3=192x4 blocks.7=192x4 blocks.11=192x4",
        "blocks.11", "head", extra=1),
    "timm coatnet_pico_rw_224": Architecture(
        of_timm("coatnet_pico_rw_224", img_size=64), 64,
        "stem=64x32 stages.0=64x16 stages.1=128x8 stages.2=256x4 stages.3=512x2",
        "norm", "head.fc"),
    "timm volo_d1_224": Architecture(
        of_timm("volo_d1_224", img_size=64), 64,
        "network.0=192x8 network.4=384x4",
        "norm", "head"),
    "timm hrnet_w18_small": Architecture(
        of_timm("hrnet_w18_small"), 64,
        "act1=64x32 incre_modules.0=128x16 incre_modules.1=256x8 incre_modules.2=512x4 "
        "incre_modules.3=1024x2",
        "final_layer", "classifier"),
    "timm repvgg_a0": Architecture(
        of_timm("repvgg_a0"), 64,
        "stem=48x32 stages.0=48x16 stages.1=96x8 stages.2=192x4 stages.3=1280x2",
        "stages.3", "head.fc"),
    "timm focalnet_tiny_srf": Architecture(
        of_timm("focalnet_tiny_srf"), 64,
        "layers.0=96x16 layers.1=192x8 layers.2=384x4 layers.3=768x2",
        "norm", "head.fc"),
    "timm pvt_v2_b0": Architecture(
        of_timm("pvt_v2_b0"), 64,
        "stages.0=32x16 stages.1=64x8 stages.2=160x4 stages.3=256x2",
        "stages.3", "head"),
    "timm fastvit_t8": Architecture(
        of_timm("fastvit_t8"), 64,
        "stages.0=48x16 stages.1=96x8 stages.2=192x4 stages.3=384x2",
        "final_conv", "head.fc"),
    "timm mobilevit_xxs": Architecture(
        of_timm("mobilevit_xxs"), 64,
        "stages.0=16x32 stages.1=24x16 stages.2=48x8 stages.3=64x4 final_conv=320x2",
        "final_conv", "head.fc"),
    "timm crossvit_9_240": Architecture(
        of_timm("crossvit_9_240"), 240,
        "blocks.0=128x20 blocks.1=128x20 blocks.2=128x20",
        "norm.1", "head.0", extra=1),
    "timm tnt_s_legacy_patch16_224": Architecture(
        of_timm("tnt_s_legacy_patch16_224"), 224,
        "blocks.3:1=384x14 blocks.7:1=384x14 blocks.11:1=384x14",
        "norm", "head", extra=1),
    "torchvision resnet18": Architecture(
        of_torchvision("resnet18"), 64,
        "relu=64x32 layer1=64x16 layer2=128x8 layer3=256x4 layer4=512x2",
        "layer4", "fc"),
    "torchvision efficientnet_b0": Architecture(
        of_torchvision("efficientnet_b0"), 64,
        "features.1=16x32 features.2=24x16 features.3=40x8 features.5=112x4 features.7=320x2",
        "features.8", "classifier.1"),
    "torchvision mobilenet_v2": Architecture(
        of_torchvision("mobilenet_v2"), 64,
        "features.1=16x32 features.3=24x16 features.6=32x8 features.13=96x4 features.17=320x2",
        "features.18", "classifier.1"),
    "torchvision googlenet": Architecture(
        of_torchvision("googlenet", init_weights=False, aux_logits=False), 64,
        "conv1=64x32 conv3=192x16 inception3b=480x8 inception4e=832x4 inception5b=1024x2",
        "inception5b", "fc"),
    "torchvision vit_b_16": Architecture(
        of_torchvision("vit_b_16", image_size=32), 32,
        "encoder.layers.encoder_layer_3=768x2 encoder.layers.encoder_layer_7=768x2 "
        "encoder.layers.encoder_layer_11=768x2",
        "encoder", "heads.head", extra=1),
    "torchvision swin_t": Architecture(
        of_torchvision("swin_t"), 64,
        "features.1=96x16 features.3=192x8 features.5=384x4 features.7=768x2",
        "permute", "head"),
    "torchvision squeezenet1_1": Architecture(
        of_torchvision("squeezenet1_1"), 64,
        "features.1=64x31 features.4=128x15 features.7=256x7 features.12=512x3",
        "features.12", "classifier.1"),
    "torchvision shufflenet_v2_x0_5": Architecture(
        of_torchvision("shufflenet_v2_x0_5"), 64,
        "conv1=24x32 maxpool=24x16 stage2=48x8 stage3=96x4 stage4=192x2",
        "conv5", "fc"),
    "torchvision maxvit_t": Architecture(
        small_maxvit, 64,
        "stem=16x32 blocks.0=16x16 blocks.1=32x8 blocks.2=64x4 blocks.3=128x2",
        "blocks.3", "classifier.5"),
    "torchvision mnasnet0_5": Architecture(
        of_torchvision("mnasnet0_5"), 64,
        "layers.7=8x32 layers.8=16x16 layers.9=24x8 layers.11=48x4 layers.13=160x2",
        "layers.16", "classifier.1"),
    "torchvision densenet121": Architecture(
        of_torchvision("densenet121"), 64,
        "features.relu0=64x32 features.denseblock1=256x16 features.denseblock2=512x8 "
        "features.denseblock3=1024x4 features.denseblock4=1024x2",
        "features.denseblock4", "classifier"),
    "torchvision convnext_tiny": Architecture(
        of_torchvision("convnext_tiny"), 64,
        "features.1=96x16 features.3=192x8 features.5=384x4 features.7=768x2",
        "features.7", "classifier.2"),
    "torchvision regnet_y_400mf": Architecture(
        of_torchvision("regnet_y_400mf"), 64,
        "stem=32x32 trunk_output.block1=48x16 trunk_output.block2=104x8 "
        "trunk_output.block3=208x4 trunk_output.block4=440x2",
        "trunk_output.block4", "fc"),
    "torchvision mobilenet_v3_small": Architecture(
        of_torchvision("mobilenet_v3_small"), 64,
        "features.0=16x32 features.1=16x16 features.3=24x8 features.8=48x4 features.11=96x2",
        "features.12", "classifier.3"),
    "transformers ViT": Architecture(
        of_transformers("ViT", num_hidden_layers=6, **TOKENS), 64,
        "vit.layers.1=32x4 vit.layers.3=32x4 vit.layers.5=32x4",
        "vit.layernorm", "classifier", extra=1),
    "transformers DeiT": Architecture(
        of_transformers("DeiT", num_hidden_layers=6, **TOKENS), 64,
        "deit.layers.1=32x4 deit.layers.3=32x4 deit.layers.5=32x4",
        "deit.layernorm", "classifier", extra=2),
    "transformers Beit": Architecture(
        of_transformers("Beit", num_hidden_layers=3, **TOKENS), 64,
        "beit.layers.0=32x4 beit.layers.1=32x4 beit.layers.2=32x4",
        "beit.layers.2", "classifier", extra=1),
    "transformers Dinov2WithRegisters": Architecture(
        of_transformers("Dinov2WithRegisters", num_hidden_layers=6, **DINO), 56,
        "dinov2_with_registers.encoder.layer.1=32x4 "
        "dinov2_with_registers.encoder.layer.3=32x4 "
        "dinov2_with_registers.encoder.layer.5=32x4",
        "dinov2_with_registers.layernorm", "classifier", extra=5),
    "transformers Swin": Architecture(
        of_transformers("Swin", **WINDOWS), 224,
        "swin.encoder.layers.0.blocks.0=12x56 swin.encoder.layers.1.blocks.0=24x28 "
        "swin.encoder.layers.2.blocks.1=48x14 swin.encoder.layers.3=96x7",
        "swin.layernorm", "classifier"),
    "transformers ConvNext": Architecture(
        of_transformers("ConvNext", **STAGES), 64,
        "convnext.encoder.stages.0=8x16 convnext.encoder.stages.1=16x8 "
        "convnext.encoder.stages.2=24x4 convnext.encoder.stages.3=32x2",
        "convnext.encoder.stages.3", "classifier"),
    "transformers ResNet": Architecture(
        of_transformers("ResNet", embedding_size=8, **STAGES), 64,
        "resnet.embedder.embedder=8x32 resnet.encoder.stages.0=8x16 "
        "resnet.encoder.stages.1=16x8 resnet.encoder.stages.2=24x4 "
        "resnet.encoder.stages.3=32x2",
        "resnet.encoder.stages.3", "classifier.1"),
    "transformers MobileViT": Architecture(
        of_transformers("MobileViT", image_size=64), 64,
        "mobilevit.encoder.layer.0=32x32 mobilevit.encoder.layer.1=64x16 "
        "mobilevit.encoder.layer.2=96x8 mobilevit.encoder.layer.3=128x4 "
        "mobilevit.encoder.layer.4=160x2",
        "mobilevit.conv_1x1_exp", "classifier"),
    "transformers Dinov2": Architecture(
        of_transformers("Dinov2", num_hidden_layers=6, **DINO), 56,
        "dinov2.encoder.layer.1=32x4 dinov2.encoder.layer.3=32x4 dinov2.encoder.layer.5=32x4",
        "dinov2.layernorm", "classifier", extra=1),
    "transformers Swinv2": Architecture(
        of_transformers("Swinv2", **WINDOWS, image_size=64, window_size=2), 64,
        "swinv2.encoder.layers.0.blocks.0=12x16 swinv2.encoder.layers.1.blocks.0=24x8 "
        "swinv2.encoder.layers.2.blocks.1=48x4 swinv2.encoder.layers.3=96x2",
        "swinv2.layernorm", "classifier"),
    "transformers ConvNextV2": Architecture(
        of_transformers("ConvNextV2", **STAGES), 64,
        "convnextv2.encoder.stages.0=8x16 convnextv2.encoder.stages.1=16x8 "
        "convnextv2.encoder.stages.2=24x4 convnextv2.encoder.stages.3=32x2",
        "convnextv2.encoder.stages.3", "classifier"),
    "transformers Levit": Architecture(
        of_transformers("Levit", **LEVIT), 224,
        "levit.encoder.stages.0.layers.1=16x14 levit.encoder.stages.1.layers.3=24x7 "
        "levit.encoder.stages.2=32x4",
        "levit.encoder.stages.2", "classifier.linear"),
    "transformers LevitWithTeacher": Architecture(
        of_transformers("Levit", teacher=True, **LEVIT), 224,
        "levit.encoder.stages.0.layers.1=16x14 levit.encoder.stages.1.layers.3=24x7 "
        "levit.encoder.stages.2=32x4",
        "levit.encoder.stages.2", "classifier.linear"),
    "transformers DeiTWithTeacher": Architecture(
        of_transformers("DeiT", teacher=True, num_hidden_layers=6, **TOKENS), 64,
        "deit.layers.1=32x4 deit.layers.3=32x4 deit.layers.5=32x4",
        "deit.layernorm", "cls_classifier", extra=2),
    "transformers MobileNetV2": Architecture(
        of_transformers("MobileNetV2"), 64,
        "mobilenet_v2.conv_stem=16x32 mobilenet_v2.layer.1=24x16 mobilenet_v2.layer.4=32x8 "
        "mobilenet_v2.layer.11=96x4 mobilenet_v2.layer.15=320x2",
        "mobilenet_v2.conv_1x1", "classifier"),
    "transformers PvtV2": Architecture(
        of_transformers("PvtV2", num_attention_heads=[1] * 4, image_size=64, **STAGES), 64,
        "pvt_v2.encoder.layers.0=8x16 pvt_v2.encoder.layers.1=16x8 "
        "pvt_v2.encoder.layers.2=24x4 pvt_v2.encoder.layers.3=32x2",
        "pvt_v2.encoder.layers.3", "classifier"),
    "transformers FocalNet": Architecture(
        of_transformers("FocalNet", embed_dim=12, depths=[1,1,2,1], hidden_sizes=[12,24,48,96]), 64,
        "focalnet.encoder.stages.0.layers.0=12x16 focalnet.encoder.stages.1.layers.0=24x8 "
        "focalnet.encoder.stages.2.layers.1=48x4 focalnet.encoder.stages.3=96x2",
        "focalnet.layernorm", "classifier"),
    "transformers RegNet": Architecture(
        of_transformers("RegNet", embedding_size=8, groups_width=8, **STAGES), 64,
        "regnet.embedder=8x32 regnet.encoder.stages.0=8x16 regnet.encoder.stages.1=16x8 "
        "regnet.encoder.stages.2=24x4 regnet.encoder.stages.3=32x2",
        "regnet.encoder.stages.3", "classifier.1"),
    "transformers EfficientNet": Architecture(
        of_transformers("EfficientNet", **EFFICIENT), 64,
        "efficientnet.encoder.blocks.0=8x32 efficientnet.encoder.blocks.1=16x16 "
        "efficientnet.encoder.blocks.2=24x8 efficientnet.encoder.blocks.6=56x4 "
        "efficientnet.encoder.blocks.9=160x2",
        "efficientnet.encoder.top_activation", "classifier"),
    "transformers Bit": Architecture(
        of_transformers("Bit", embedding_size=32, **{**STAGES, "hidden_sizes": WIDE}), 64,
        "bit.embedder.convolution=32x32 bit.encoder.stages.0=128x16 "
        "bit.encoder.stages.1=256x8 bit.encoder.stages.2=384x4 bit.encoder.stages.3=512x2",
        "bit.norm", "classifier.1"),
    "transformers MobileViTV2": Architecture(
        of_transformers("MobileViTV2"), 64,
        "mobilevitv2.encoder.layer.0=64x32 mobilevitv2.encoder.layer.1=128x16 "
        "mobilevitv2.encoder.layer.2=256x8 mobilevitv2.encoder.layer.3=384x4 "
        "mobilevitv2.encoder.layer.4=512x2",
        "mobilevitv2.encoder.layer.4", "classifier"),
    "transformers SwiftFormer": Architecture(
        of_transformers("SwiftFormer"), 64,
        "swiftformer.encoder.network.0=48x16 swiftformer.encoder.network.2=56x8 "
        "swiftformer.encoder.network.4=112x4 swiftformer.encoder.network.6=220x2",
        "norm", "head"),
}  # fmt: skip
