"""Every model that can be built by name, as one explicit tuple."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from stillhouse.errors import ModelError, nearest
from stillhouse.models.adapters import build_timm, build_torchvision, elsewhere
from stillhouse.models.detectors.build import KINDS, build_detector
from stillhouse.models.family import NUMBER, Family, ModelRequest, TokenFacts
from stillhouse.models.hugging_face import build_transformers
from stillhouse.models.lenet import build_lenet
from stillhouse.models.mobilefacenet import NUMBERS, build_mobilefacenet
from stillhouse.models.mobilenet import build_mobilenet_v2
from stillhouse.models.plain import build_convnet, build_mlp
from stillhouse.models.resnet import build_resnet, build_resnet_of_width, build_resnet_x4
from stillhouse.models.sentences.bag import build_bag
from stillhouse.models.sentences.transformer import build_transformer
from stillhouse.models.shufflenet import build_shufflenet
from stillhouse.models.vgg import CONVOLUTIONS, build_vgg
from stillhouse.models.vit import build_vit
from stillhouse.models.weight_files.read import SUFFIXES
from stillhouse.models.wide_resnet import build_wide_resnet
from stillhouse.records.names import at_home

_RESNETS = ("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110")
_WIDTHS = rf"(?P<widths>{NUMBER}(-{NUMBER})*)"
OTHERS = ("timm:", "torchvision:", "hf:", *(f"{kind}-" for kind in KINDS))
"""Before names of networks that other packages build."""
_ELSEWHERE = r"(?P<architecture>[A-Za-z0-9_.]+)(?P<pretrained>:pretrained)?"

MODEL_FAMILIES: tuple[Family, ...] = (
    Family(
        pattern=rf"resnet(?P<depth>{'|'.join(name[6:] for name in _RESNETS)})",
        examples=_RESNETS,
        build=build_resnet,
        paper="He et al., Deep Residual Learning, CVPR 2016",
        line="CIFAR ResNets of widths 16-16-32-64, in the form of the CRD benchmark.",
    ),
    Family(
        pattern=r"resnet(?P<depth>8|32)x4",
        examples=("resnet8x4", "resnet32x4"),
        build=build_resnet_x4,
        paper="Tian et al., Contrastive Representation Distillation, ICLR 2020",
        line="CIFAR ResNets of widths 32-64-128-256.",
    ),
    Family(
        pattern=rf"resnet(?P<depth>{NUMBER})w(?P<width>{NUMBER})",
        examples=("resnet8w8", "resnet8w16", "resnet20w4"),
        build=build_resnet_of_width,
        paper="He et al., Deep Residual Learning, CVPR 2016",
        line="CIFAR ResNets of any depth 6n + 2 and first width w: w-w-2w-4w.",
    ),
    Family(
        pattern=rf"wrn_(?P<depth>{NUMBER})_(?P<factor>{NUMBER})",
        examples=("wrn_16_1", "wrn_16_2", "wrn_40_1", "wrn_40_2"),
        build=build_wide_resnet,
        paper="Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016",
        line="Wide ResNets wrn_DEPTH_FACTOR of any depth 6n + 4 and any widening factor.",
    ),
    Family(
        pattern="|".join(CONVOLUTIONS),
        examples=tuple(CONVOLUTIONS),
        build=build_vgg,
        paper="Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015",
        line="VGG with batch norm and one linear layer, in the form of the CRD benchmark.",
    ),
    Family(
        pattern="mobilenet_v2",
        examples=("mobilenet_v2",),
        build=build_mobilenet_v2,
        paper="Sandler et al., MobileNetV2, CVPR 2018",
        line="MobileNetV2 of half width, expansion 6, in the form of the CRD benchmark.",
    ),
    Family(
        pattern=rf"mobilefacenet(_(?P<factor>{NUMBERS}))?(-(?P<embedding>{NUMBER}))?",
        examples=("mobilefacenet", "mobilefacenet_0.5", "mobilefacenet_0.5-64"),
        build=build_mobilefacenet,
        paper="MobileFaceNets, arXiv 1804.07573",
        line="MobileFaceNets mobilefacenet_MULTIPLIER-EMBEDDING: channels times 1 and embeddings "
        "of 128 where nothing is said, with a cosine classifier; built for one image size.",
    ),
    Family(
        pattern="shufflenet_v(?P<version>[12])",
        examples=("shufflenet_v1", "shufflenet_v2"),
        build=build_shufflenet,
        paper="Zhang et al., ShuffleNet, CVPR 2018; Ma et al., ShuffleNet V2, ECCV 2018",
        line="ShuffleNets V1 (3 groups) and V2 (width 1), in the form of the CRD benchmark.",
    ),
    Family(
        pattern="lenet5(?P<half>_half)?",
        examples=("lenet5", "lenet5_half"),
        build=build_lenet,
        paper="LeCun et al., 1998; Nayak et al., Zero-Shot Knowledge Distillation, ICML 2019",
        line="LeNet-5 and its half, for images of 28x28 or 32x32.",
    ),
    Family(
        pattern=rf"(?P<kind>vit|deit)-(?P<width>{NUMBER})-(?P<depth>{NUMBER})-(?P<heads>{NUMBER})"
        rf"(-p(?P<patch>{NUMBER}))?",
        examples=("vit-64-6-4", "vit-192-6-3", "deit-64-6-4", "deit-192-6-3"),
        build=build_vit,
        paper="Dosovitskiy et al., ViT, ICLR 2021; Touvron et al., DeiT, ICML 2021",
        line="Vision transformers WIDTH-DEPTH-HEADS of patches of 4 (-p8: of 8); deit has a "
        "distillation token; built for one image size.",
    ),
    Family(
        pattern=rf"convnet-{_WIDTHS}(-e(?P<embedding>{NUMBER}))?",
        examples=("convnet-8-16-32", "convnet-4-8-64", "convnet-8-16-32-e64"),
        build=build_convnet,
        line="Plain convolutional networks of any widths; the last is that of the embedding. -e64 "
        "adds a layer that gives an embedding of 64, of both signs, and is built for one image "
        "size.",
    ),
    Family(
        pattern=f"mlp-{_WIDTHS}",
        examples=("mlp-64-32",),
        build=build_mlp,
        line="Fully connected layers of any widths; built for one image size.",
    ),
    Family(
        pattern=rf"(?P<kind>{'|'.join(KINDS)})-(?P<backbone>[A-Za-z0-9_.]+)"
        r"(?P<pretrained>:pretrained)?",
        examples=tuple(f"{kind}-resnet18" for kind in KINDS),
        build=build_detector,
        paper="FCOS, arXiv 1904.01355; RetinaNet, arXiv 1708.02002; Faster R-CNN, arXiv "
        "1506.01497; SSDlite in MobileNetV2, arXiv 1801.04381",
        line="Detectors of torchvision on a feature pyramid over any backbone of timm (SSDlite: on "
        "its last levels, built for one image size); both must be installed. Arguments: channels, "
        "backbone: {...}, and those of torchvision's class.",
    ),
    Family(
        pattern=f"bag-(?P<width>{NUMBER})",
        examples=("bag-32", "bag-64"),
        build=build_bag,
        paper="Joulin et al., Bag of Tricks for Efficient Text Classification, EACL 2017",
        line="Bags of embeddings of any width: the mean over the tokens of a sentence, and a "
        "linear classifier.",
        of_sentences=True,
    ),
    Family(
        pattern=rf"(?P<kind>encoder|decoder)-(?P<width>{NUMBER})-(?P<depth>{NUMBER})"
        rf"-(?P<heads>{NUMBER})",
        examples=("encoder-64-2-4", "encoder-128-4-4", "decoder-64-2-4", "decoder-128-4-4"),
        build=build_transformer,
        paper="Vaswani et al., Attention Is All You Need, NeurIPS 2017",
        line="Transformers WIDTH-DEPTH-HEADS of sentences: encoders tell classes apart, decoders "
        "give the next token.",
        of_sentences=True,
    ),
    Family(
        pattern=f"timm:{_ELSEWHERE}",
        examples=("timm:resnet18", "timm:resnet18:pretrained"),
        build=build_timm,
        line="Any model of timm, which must be installed.",
    ),
    Family(
        pattern=f"torchvision:{_ELSEWHERE}",
        examples=(
            "torchvision:resnet18",
            "torchvision:resnet18:pretrained",
            "torchvision:fcos_resnet50_fpn",
            "torchvision:ssdlite320_mobilenet_v3_large",
        ),
        build=build_torchvision,
        line="Any classifier and any detector of boxes of torchvision, which must be installed; 3 "
        "channels.",
    ),
    Family(
        pattern=r"hf:(?P<source>[^:]+)(?P<pretrained>:pretrained)?",
        examples=("hf:microsoft/resnet-18", "hf:microsoft/resnet-18:pretrained", "hf:rt_detr"),
        build=build_transformers,
        line="Any image or sequence classifier, detector of the DETR family or causal language "
        "model of transformers, which must be installed: a folder with its config.json, a name on "
        "its hub, or a kind of network such as hf:bert or hf:rt_detr, whose size arguments say.",
        of_sentences=None,
    ),
)


def build_model(
    name: str,
    *,
    classes: int,
    channels: int = 3,
    size: int | tuple[int, int] | None = None,
    arguments: Mapping[str, Any] | None = None,
    tokens: TokenFacts | None = None,
) -> nn.Module:
    """Build a network by its name, with fresh weights.

    Args:
        name: one of `model_names()`, or another name of the same pattern.
        classes: number of logits, at least 1.
        channels: channels of the images, at least 1.
        size: side of square images in pixels, or height and width; needed by `mlp-...`,
            `vit-...` and `deit-...` only, and used by `mobilefacenet...`.
        arguments: further ones for the function of timm, torchvision or transformers that builds
            it, such as ``img_size`` or ``drop_path_rate``.
        tokens: where it is to read sentences: what is known of their tokens.

    Returns:
        A network whose forward turns images `[B, channels, H, W]` into logits `[B, classes]`.
        Its classifier is the linear layer `fc`, except in networks of other packages, in
        `deit-...`, whose `fc` holds two, and in `mobilefacenet...`, whose `fc` gives scaled
        cosines.

    Raises:
        ModelError: there is no such model, or it cannot be built so.
        MissingExtra: the model belongs to a package that is not installed.

    >>> network = build_model("resnet8w16", classes=100)
    >>> sum(parameter.numel() for parameter in network.parameters())
    83892
    """
    sides = (size, size) if isinstance(size, int) else size
    for what, number in (("classes", classes), ("channels", channels), ("size", sides)):
        if number is not None and (number if isinstance(number, int) else min(number)) < 1:
            raise ModelError(f"model '{name}': {what} is {number}; give a number of at least 1")
    ask = ModelRequest(name, classes, channels, sides, dict(arguments or {}), tokens)
    if ask.arguments and not name.startswith(OTHERS):
        given = ", ".join(ask.arguments)
        raise ModelError(f"model '{name}' takes no arguments ({given}); its name says all of it")
    for family in MODEL_FAMILIES:
        found = family.match(name)
        if found is not None:
            _check_reads(family, ask)
            return family.build(found, ask)
    if at_home(name).is_file():
        raise ModelError(
            f"'{name}' is a file, no model; say which network its weights are for: "
            f"{{model: NAME, weights: {name}}}"
        )
    if name.endswith(SUFFIXES):
        raise ModelError(
            f"there is no file '{name}'; a file of weights is given beside a network's name: "
            "{model: NAME, weights: FILE}"
        )
    there = elsewhere(name)
    hint = f"did you mean {' or '.join(there)}" if there else nearest(name, model_names())
    raise ModelError(f"there is no model '{name}'; {hint}; 'stillhouse ls models' describes all")


def _check_reads(family: Family, ask: ModelRequest) -> None:
    """Refuse a network of images for sentences. Raises ModelError."""
    if ask.tokens is None or family.of_sentences is not False:
        return
    kind = "decoder-64-2-4" if ask.tokens.causal else "encoder-64-2-4 or bag-64"
    raise ModelError(
        f"'{ask.name}' reads images, and the rows of these data are texts; take {kind}, a network "
        "of transformers (hf:FOLDER, hf:bert) or one of your own (python:MODULE:FUNCTION)"
    )


def model_names() -> tuple[str, ...]:
    """Names that `build_model` knows; families of any width or depth are there by examples.

    >>> [name for name in model_names() if name.startswith("resnet8")]
    ['resnet8', 'resnet8x4', 'resnet8w8', 'resnet8w16']
    """
    return tuple(name for family in MODEL_FAMILIES for name in family.examples)
