"""A detector as a network from a batch of images to tensors by name.

Of torchvision's form ``model(images, targets)`` gives a mapping of losses in train mode, and
``model(images)`` a list of detections in eval mode; those of transformers take ``pixel_values`` and
``labels``. Hooks on it take a batch and its label, and give both as tensors; its modules, and so
the names of its weights and taps, stay as they are.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.detectors import of_torchvision, of_transformers
from stillhouse.models.detectors.losses import parts_of
from stillhouse.models.outputs import output_problem

LOSS, DETECTIONS = "loss", "detections"
PART = f"{LOSS}."
"""Before the name of a part of the loss."""
MOST = 100
"""Detections of an image, as COCO's metric counts them."""
FIELDS = 6
"""Of a detection: class, score, left, top, right, bottom; class -1 fills up."""
_MARK = "_stillhouse_detector"


def as_detector(network: nn.Module) -> nn.Module:
    """The detector, whose forward now takes (image [B, 3, H, W], label [B, M, 9] or nothing).

    It gives ``loss`` [B], in each row the sum of the detector's own losses of the batch (zeros in
    eval mode), ``loss.PART`` of each part by its name in the field (in train mode, see
    `parts_of`), and ``detections`` [B, 100, 6] (none in train mode).

    Raises:
        ModelError: its forward takes images alone; or (when it is run) it gives neither losses nor
            detections.
    """
    if not getattr(network, _MARK, False):
        if not _takes_targets(network):
            raise ModelError(_no_detector(network, "it takes images alone, and no targets"))
        setattr(network, _MARK, True)
        whole: list[Any] = []
        network.register_forward_pre_hook(_Inputs(whole), with_kwargs=True)
        network.register_forward_hook(_Outputs(whole), always_call=True)
    return network


def is_detector(network: nn.Module) -> bool:
    """Whether it was made one by `as_detector`."""
    return bool(getattr(network, _MARK, False))


WITHOUT = (
    "a detector, which gives boxes, and neither logits nor an embedding of an image as a whole; "
    "take a method of maps (cwd, pkd, fgd, mgd, fitnet, at, or projector_logsum with kd_weight: 0)"
)
"""What to say where somebody asks a detector for one of them."""


class _Inputs:
    """A batch and its label in the form that the network takes.

    It runs in float32, also under autocast: in half precision boxes are whole pixels at best, and
    a detector's weights were seen to become nan.
    """

    def __init__(self, whole: list[Any]) -> None:
        self.whole = whole
        """Contexts that were entered and the images, for `_Outputs`."""

    def __call__(
        self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        image, label = (*args, *kwargs.values(), None)[:2]
        if not isinstance(image, Tensor) or "pixel_values" in kwargs:
            return args, kwargs  # its own form: somebody calls it directly
        shown = image.float().clamp(0, 1)
        learns = network.training and label is not None
        targets = [learnt(each) for each in label] if learns else None
        theirs = of_transformers.is_one(network)
        given = of_transformers.given if theirs else of_torchvision.given
        found = given(network, shown, targets)
        context = torch.autocast(image.device.type, enabled=False)
        context.__enter__()
        self.whole.append((context, shown))
        return found


def learnt(label: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes of one image that a detector learns, [M, 4], and their classes from 0, [M].

    >>> learnt(torch.tensor([[0.0, 1, 2, 5, 6, 0, 16, 1, 1]]))
    (tensor([[1., 2., 5., 6.]]), tensor([0]))
    """
    rows = label[(label[:, 0] >= 0) & (label[:, 5] == 0)]
    return rows[:, 1:5].float(), rows[:, 0].long()


class _Outputs:
    """What the network gave as tensors by name; called also where it failed."""

    def __init__(self, whole: list[Any]) -> None:
        self.whole = whole

    def __call__(self, network: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if not self.whole:
            return output
        context, image = self.whole.pop()
        context.__exit__(None, None, None)
        return None if output is None else _named(network, image, output)


def _named(network: nn.Module, image: Tensor, output: Any) -> dict[str, Tensor]:
    rows, device = len(image), image.device
    theirs = of_transformers.is_one(network)
    if network.training:
        losses = (
            of_transformers.losses_of(network, output)
            if theirs
            else of_torchvision.losses_of(output)
        )
        if losses:
            total = output.loss.float() if theirs else of_torchvision.total(losses)
            nothing = torch.full((rows, MOST, FIELDS), -1.0, device=device)
            parts = {f"{PART}{name}": each for name, each in parts_of(losses).items()}
            named = {LOSS: total, **{name: each.detach() for name, each in parts.items()}}
            spread = {name: each.expand(rows) for name, each in named.items()}
            return {**spread, DETECTIONS: nothing}
    else:
        height, width = (int(side) for side in image.shape[-2:])
        found = (
            of_transformers.found_by(network, output, (height, width))
            if theirs
            else of_torchvision.found_by(output)
        )
        if found is not None:
            best = torch.stack([_packed(each, device) for each in found])
            return {LOSS: torch.zeros(rows, device=device), DETECTIONS: best}
    raise ModelError(_no_detector(network, output_problem(output)))


def _takes_targets(network: nn.Module) -> bool:
    """Whether its forward has a place for more than the images."""
    try:
        known = inspect.signature(network.forward).parameters.values()
    except (TypeError, ValueError):  # a compiled program says nothing of its parameters
        return True
    several = any(each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in known)
    return several or len(known) > 1


def _no_detector(network: nn.Module, why: str) -> str:
    return (
        f"{type(network).__name__} is no detector of torchvision's form (images and targets in; a "
        "mapping of losses out in train mode, a list of boxes, labels and scores in eval mode), "
        f"nor one of transformers (hf:rt_detr, hf:d_fine, hf:yolos): {why}; take one by name, such "
        "as fcos-resnet18 or torchvision:ssdlite320_mobilenet_v3_large"
    )


def _packed(found: Mapping[str, Tensor], device: torch.device) -> Tensor:
    """The best detections of an image as rows."""
    rows = torch.full((MOST, FIELDS), -1.0, device=device)
    best = found["scores"].float().argsort(descending=True, stable=True)[:MOST]
    rows[: len(best), 0] = found["labels"][best].float()
    rows[: len(best), 1] = found["scores"][best].float()
    rows[: len(best), 2:] = found["boxes"][best].float()
    return rows
