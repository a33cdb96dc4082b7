"""Detectors of transformers (the DETR family): by name, and how one of that form is run."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.errors import MissingExtra, ModelError

ENDING = "ForObjectDetection"
LIKE = {"d_fine": "rt_detr", "rt_detr_v2": "rt_detr", "dab-detr": "conditional_detr"}
"""Kinds that transformers names no image processor for, and whose they use in its documentation."""


def is_one(network: nn.Module) -> bool:
    """Whether a network is a detector of transformers, by its class."""
    return any(
        each.__module__.startswith("transformers.") and each.__name__.endswith(ENDING)
        for each in type(network).__mro__
    )


def kinds() -> list[str]:
    """The kinds of detectors that transformers builds of a config, by its names."""
    from transformers.models.auto import modeling_auto

    return list(modeling_auto.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES)


@cache
def _processor(kind: str) -> Any:
    """The image processor of a kind: how its images are normalised, and its post-processing.

    Raises:
        ModelError: transformers names none.
    """
    try:
        import transformers
        from transformers.models.auto import image_processing_auto as auto
    except ModuleNotFoundError as absent:
        raise MissingExtra(f"detector '{kind}'", "transformers", "transformers") from absent
    found = auto.IMAGE_PROCESSOR_MAPPING_NAMES.get(LIKE.get(kind, kind))
    names = list(found.values()) if isinstance(found, Mapping) else []
    for name in sorted(names, key=lambda name: name.endswith("Pil")):
        made = getattr(transformers, name, None)
        if made is not None and hasattr(made, "post_process_object_detection"):
            return made()
    raise ModelError(
        f"transformers has no post-processing of boxes for detectors of the kind '{kind}'; "
        "take rt_detr, rt_detr_v2, d_fine, yolos or detr"
    )


def given(
    network: nn.Module, image: Tensor, targets: Sequence[tuple[Tensor, Tensor]] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What it is called with: pixels as its processor normalises them, and labels to learn from."""
    processor = _processor(str(network.config.model_type))  # type: ignore[union-attr]
    pixels = image
    if processor.do_normalize:
        mean, std = (
            image.new_tensor(each)[:, None, None]
            for each in (processor.image_mean, processor.image_std)
        )
        pixels = (image - mean) / std
    if targets is None:
        return (), {"pixel_values": pixels}
    labels = [{"class_labels": c, "boxes": _relative(b, image)} for b, c in targets]
    return (), {"pixel_values": pixels, "labels": labels}


def _relative(boxes: Tensor, image: Tensor) -> Tensor:
    """Centre, width and height in shares of the image, of left, top, right, bottom in pixels."""
    sides = boxes.new_tensor([image.shape[-1], image.shape[-2]])
    low, high = boxes[:, :2] / sides, boxes[:, 2:] / sides
    return torch.cat([(low + high) / 2, high - low], 1)


def losses_of(network: nn.Module, output: Any) -> dict[str, Tensor] | None:
    """The losses of which its own is the sum, each with its weight; None where it gave none.

    RT-DETR and its successors weigh them beforehand; of DETR and YOLOS the config has the weights
    of the boxes, and what is no loss (such as a count) is left out.
    """
    losses = getattr(output, "loss_dict", None)
    if losses is None or getattr(output, "loss", None) is None:
        return None
    config: Any = network.config
    if any(name.startswith("weight_loss_") for name in vars(config)):
        return dict(losses)
    weights = {
        "loss_ce": 1.0,
        "loss_bbox": getattr(config, "bbox_loss_coefficient", 1.0),
        "loss_giou": getattr(config, "giou_loss_coefficient", 1.0),
    }
    return {
        name: weights[start] * value
        for name, value in losses.items()
        for start in weights
        if name == start or name.startswith(f"{start}_")
    }


def found_by(
    network: nn.Module, output: Any, size: tuple[int, int]
) -> list[dict[str, Tensor]] | None:
    """What it found in each image by its processor's formula; None where it gave no boxes."""
    logits = getattr(output, "logits", None)
    if logits is None or getattr(output, "pred_boxes", None) is None:
        return None
    processor = _processor(str(network.config.model_type))  # type: ignore[union-attr]
    found: list[dict[str, Tensor]] = processor.post_process_object_detection(
        output, threshold=0.0, target_sizes=[size] * len(logits)
    )
    return found
