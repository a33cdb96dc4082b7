"""Detectors by name: a head of torchvision's on a feature pyramid over any backbone."""

import re
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from stillhouse.errors import MissingExtra, ModelError
from stillhouse.models.detectors.of_torchvision import check_known
from stillhouse.models.family import ModelRequest

KINDS = ("fcos", "retinanet", "faster_rcnn", "ssdlite")
CHANNELS = 256
"""Of the pyramid: torchvision's."""
SIDES = (32, 64, 128, 256, 512)
"""Of the anchors of P3 to P7, as torchvision has them."""
SIZE = 320
"""Side of the images of SSDlite where nobody says another one: torchvision's."""
EXTRA = (512, 256, 256, 128)
"""Widths of the levels behind the backbone of SSDlite: torchvision's."""


class Pyramid(nn.Module):
    """The last three levels of a network of timm and a feature pyramid over them.

    Args:
        body: gives its levels as a list (timm's ``features_only``).
        widths: of its levels.
        channels: of the pyramid.
        extra: ``p6p7`` (FCOS, RetinaNet) or ``pool`` (Faster R-CNN).

    Shapes:
        forward: images [B, 3, H, W] -> '0', '1', '2' and those behind, each [B, channels, h, w].
    """

    def __init__(self, body: nn.Module, widths: list[int], channels: int, extra: str) -> None:
        super().__init__()
        from torchvision.ops import feature_pyramid_network as pyramid

        blocks = {
            "p6p7": lambda: pyramid.LastLevelP6P7(channels, channels),
            "pool": pyramid.LastLevelMaxPool,
        }
        self.body = body
        self.fpn = pyramid.FeaturePyramidNetwork(widths, channels, blocks[extra]())
        self.out_channels = channels

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """The levels of the pyramid, from the finest."""
        levels = self.body(image)
        named = levels.items() if isinstance(levels, dict) else enumerate(levels)
        found: dict[str, Tensor] = self.fpn({str(name): level for name, level in named})
        return found


class Steps(nn.Module):
    """The last two levels of a network and those of half the size each behind them, as SSDlite's.

    Args:
        body: gives its levels as a list or a mapping.
        widths: of its levels, of which the last two count.
        extra: widths of the levels behind.

    Shapes:
        forward: images [B, 3, H, W] -> '0', '1', ..., each [B, C, h, w].
    """

    def __init__(self, body: nn.Module, widths: list[int], extra: tuple[int, ...]) -> None:
        super().__init__()
        from torchvision.models.detection.ssdlite import _extra_block, _normal_init

        self.body = body
        self.out_channels = [*widths[-2:], *extra]
        self.extra = nn.ModuleList(
            _extra_block(before, after, nn.BatchNorm2d)
            for before, after in pairwise([widths[-1], *extra])
        )
        _normal_init(self.extra)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """The levels, from the finest."""
        levels = self.body(image)
        found = list(levels.values() if isinstance(levels, dict) else levels)[-2:]
        for block in self.extra:
            found.append(block(found[-1]))
        return {str(at): level for at, level in enumerate(found)}


def detector(
    kind: str,
    body: nn.Module,
    widths: list[int],
    classes: int,
    *,
    channels: int = CHANNELS,
    size: tuple[int, int] | None = None,
    **settings: Any,
) -> nn.Module:
    """A detector of torchvision on a pyramid over a body that gives levels of strides 8, 16, 32.

    SSDlite has no pyramid: its levels are the last two of the body and smaller ones behind them.

    Args:
        kind: 'fcos', 'retinanet', 'faster_rcnn' or 'ssdlite'.
        body: any module from images to its levels, a list or a mapping, the finest first.
        widths: of these levels.
        classes: with the background, as torchvision counts.
        channels: of the pyramid and, for FCOS and RetinaNet, of the head; SSDlite has none.
        size: height and width of the images, to which SSDlite resizes: 320 if not given.
        settings: further ones of torchvision's class, such as ``score_thresh``; of SSDlite also
            ``extra``, the widths of the levels behind the body: (512, 256, 256, 128) in
            torchvision.
    """
    if kind == "ssdlite":
        return _ssdlite(body, widths, classes, size or (SIZE, SIZE), **settings)
    from torchvision.models import detection
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    backbone = Pyramid(body, widths, channels, "pool" if kind == "faster_rcnn" else "p6p7")
    levels = len(widths) + (1 if kind == "faster_rcnn" else 2)
    if kind == "fcos":
        network: nn.Module = detection.FCOS(backbone, classes, **settings)
    elif kind == "retinanet":
        sides = tuple(
            (side, int(side * 2 ** (1 / 3)), int(side * 2 ** (2 / 3))) for side in SIDES[:levels]
        )
        anchors = AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * levels)
        network = detection.RetinaNet(backbone, classes, anchor_generator=anchors, **settings)
    else:
        anchors = AnchorGenerator(
            tuple((side,) for side in SIDES[:levels]), ((0.5, 1.0, 2.0),) * levels
        )
        from torchvision.ops import MultiScaleRoIAlign

        pool = MultiScaleRoIAlign([str(at) for at in range(len(widths))], 7, 2)
        network = detection.FasterRCNN(
            backbone, classes, rpn_anchor_generator=anchors, box_roi_pool=pool, **settings
        )
    return network


def _ssdlite(
    body: nn.Module,
    widths: list[int],
    classes: int,
    size: tuple[int, int],
    *,
    extra: tuple[int, ...] = EXTRA,
    **settings: Any,
) -> nn.Module:
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD
    from torchvision.models.detection.ssdlite import SSDLiteHead

    steps = Steps(body, widths, tuple(extra))
    boxes = DefaultBoxGenerator([[2, 3] for _ in steps.out_channels], min_ratio=0.2, max_ratio=0.95)
    anchors = boxes.num_anchors_per_location()
    head = SSDLiteHead(steps.out_channels, anchors, classes, nn.BatchNorm2d)
    usual = {"score_thresh": 0.001, "nms_thresh": 0.55, "detections_per_img": 300}
    usual |= {"topk_candidates": 300}
    sides, asked = (size[1], size[0]), {**usual, **settings}
    network: nn.Module = SSD(steps, boxes, sides, classes, head=head, **asked)
    return network


def build_detector(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`fcos-resnet18`, `ssdlite-resnet18`: a head of torchvision on a backbone of timm.

    Raises:
        MissingExtra: torchvision or timm is not installed.
        ModelError: there is no such backbone, or it cannot be built with these arguments.
    """
    for package in ("torchvision", "timm"):
        try:
            __import__(package)
        except ModuleNotFoundError as absent:
            raise MissingExtra(f"model '{ask.name}'", package, package) from absent
    import timm

    name, asked = found["backbone"], dict(ask.arguments)
    if not timm.is_model(name):
        raise ModelError(f"model '{ask.name}': timm has no backbone '{name}'")
    try:
        body = timm.create_model(
            name,
            features_only=True,
            out_indices=[-3, -2, -1],
            in_chans=ask.channels,
            pretrained=bool(found["pretrained"]),
            **asked.pop("backbone", {}),
        )
        widths = list(body.feature_info.channels())
        network = detector(found["kind"], body, widths, ask.classes, size=ask.size, **asked)
    except (TypeError, ValueError, AssertionError, RuntimeError, OSError) as refused:
        given = f" with arguments {dict(ask.arguments)}" if ask.arguments else ""
        raise ModelError(f"'{ask.name}' cannot be built{given}: {refused}") from refused
    own = ("backbone", "extra" if found["kind"] == "ssdlite" else "channels")
    check_known(ask, type(network), own)
    return network
