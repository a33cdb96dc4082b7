"""A detector of torchvision's form as a network from a batch of images to tensors by name.

``model(images, targets)`` gives a mapping of losses in train mode, and ``model(images)`` a list of
detections in eval mode. Hooks on it take a batch and its label, and give both as tensors; its
modules, and so the names of its weights and taps, stay as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.outputs import output_problem

LOSS, DETECTIONS = "loss", "detections"
MOST = 100
"""Detections of an image, as COCO's metric counts them."""
FIELDS = 6
"""Of a detection: class, score, left, top, right, bottom; class -1 fills up."""
FIRST = 1
"""The number of the first class, in the models of torchvision: 0 is the background."""
_MARK = "_stillhouse_detector"


def as_detector(network: nn.Module) -> nn.Module:
    """The detector, whose forward now takes (image [B, 3, H, W], label [B, M, 9] or nothing).

    It gives ``loss`` [B], in each row the sum of the detector's own losses of the batch (zeros in
    eval mode), and ``detections`` [B, 100, 6] (none in train mode).

    Raises:
        ModelError: (when it is run) it gives neither losses nor detections.
    """
    if not getattr(network, _MARK, False):
        setattr(network, _MARK, True)
        whole: list[Any] = []
        network.register_forward_pre_hook(_Inputs(whole), with_kwargs=True)
        network.register_forward_hook(_Outputs(whole), always_call=True)
    return network


def is_detector(network: nn.Module) -> bool:
    """Whether it was made one by `as_detector`."""
    return bool(getattr(network, _MARK, False))


class _Inputs:
    """A batch and its label as the list of images and of targets that the network takes.

    It runs in float32, also under autocast: in half precision boxes are whole pixels at best, and
    a detector's weights were seen to become nan.
    """

    def __init__(self, whole: list[Any]) -> None:
        self.whole = whole
        """Contexts that were entered, for `_Outputs` to leave."""

    def __call__(
        self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        image, label = (*args, *kwargs.values(), None)[:2]
        if isinstance(image, list | tuple):
            return args, kwargs  # its own form: somebody calls it directly
        _show_as_it_is(network, image)
        context = torch.autocast(image.device.type, enabled=False)
        context.__enter__()
        self.whole.append(context)
        images = list(image.float().clamp(0, 1))
        if not network.training or label is None:
            return (images,), {}
        return (images, [target(each) for each in label]), {}


def target(label: Tensor) -> dict[str, Tensor]:
    """The target of one image, classes from 1.

    >>> target(torch.tensor([[0.0, 1, 2, 5, 6, 0, 16, 1, 1]]))["labels"]
    tensor([1])
    """
    rows = label[(label[:, 0] >= 0) & (label[:, 5] == 0)]
    return {"boxes": rows[:, 1:5].float(), "labels": rows[:, 0].long() + FIRST}


def _show_as_it_is(network: nn.Module, image: Tensor) -> None:
    """Images come in the size in which they are shown: the network's own transform keeps it.

    Its normalisation stays; so two detectors see the same pixels at the same places, and nothing
    is drawn at random. One of a fixed size, such as SSD, resizes to it.
    """
    transform = getattr(network, "transform", None)
    if getattr(transform, "fixed_size", 0) is not None:
        return
    height, width = image.shape[-2:]
    transform.min_size, transform.max_size = (min(height, width),), max(height, width)  # type: ignore[union-attr]


class _Outputs:
    """What the network gave as tensors by name; called also where it failed."""

    def __init__(self, whole: list[Any]) -> None:
        self.whole = whole

    def __call__(self, network: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self.whole:
            self.whole.pop().__exit__(None, None, None)
        return None if output is None else _named(network, args, output)


def _named(network: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    images = args[0]
    rows, device = len(images), images[0].device
    if network.training and isinstance(output, Mapping):
        parts = {name: value for name, value in output.items() if isinstance(value, Tensor)}
        if not parts:
            raise ModelError(f"{type(network).__name__} gives no losses in train mode")
        total = torch.stack([value.float().mean() for value in parts.values()]).sum()
        nothing = torch.full((rows, MOST, FIELDS), -1.0, device=device)
        return {LOSS: total.expand(rows), DETECTIONS: nothing}
    if isinstance(output, Sequence) and all(isinstance(each, Mapping) for each in output):
        found = torch.stack([_packed(each, device) for each in output])
        return {LOSS: torch.zeros(rows, device=device), DETECTIONS: found}
    if isinstance(output, Mapping) and DETECTIONS in output:
        return output
    raise ModelError(
        f"{type(network).__name__} is no detector of torchvision's form: wanted are a mapping of "
        f"losses in train mode and a list of boxes, labels and scores in eval mode; "
        f"{output_problem(output)}"
    )


def _packed(found: Mapping[str, Tensor], device: torch.device) -> Tensor:
    """The best detections of an image as rows."""
    rows = torch.full((MOST, FIELDS), -1.0, device=device)
    best = found["scores"].float().argsort(descending=True, stable=True)[:MOST]
    rows[: len(best), 0] = (found["labels"][best] - FIRST).float()
    rows[: len(best), 1] = found["scores"][best].float()
    rows[: len(best), 2:] = found["boxes"][best].float()
    return rows
