"""Detectors of torchvision: by the names of torchvision, and how one of that form is run."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.errors import ModelError, nearest
from stillhouse.models.family import ModelRequest

FIRST = 1
"""The number of the first class, in the models of torchvision: 0 is the background."""
COCO_CLASSES = 91
"""Outputs of the weights of its detectors, background and gaps of COCO's numbers included."""
OTHERS = ("mask", "keypoint")
"""Their losses ask for more than boxes."""


def architectures() -> list[str]:
    """Names of the detectors of torchvision that learn from boxes alone."""
    from torchvision import models

    names = models.list_models(module=models.detection)
    return [name for name in names if not name.startswith(OTHERS)]


def build_by_name(architecture: str, ask: ModelRequest, *, pretrained: bool) -> nn.Module:
    """A detector by the name that torchvision has for it.

    Without weights, of the backbone neither, unless ``weights_backbone`` is among the arguments.
    Pretrained it has the weights of COCO; what depends on the number of classes stays fresh.

    Raises:
        ModelError: torchvision refuses the arguments, or the weights cannot be had.
    """
    from torchvision import models

    builder = models.get_model_builder(architecture)
    wanted = {"weights": None, "weights_backbone": None, "num_classes": ask.classes}
    try:
        network = models.get_model(architecture, **{**wanted, **ask.arguments})
    except (TypeError, ValueError, AssertionError, KeyError) as refused:
        said = f"'{ask.name}' cannot be built with arguments {dict(ask.arguments)}"
        raise ModelError(
            f"{said}: {refused}; leave out or correct what it does not take"
        ) from refused
    except (OSError, RuntimeError) as absent:
        raise _no_weights(ask, absent) from absent
    if not isinstance(network, nn.Module):
        raise ModelError(f"'{ask.name}' gave a {type(network).__name__}, not a torch.nn.Module")
    check_known(ask, type(network), settings_of(builder))
    if pretrained:
        try:
            weights = models.get_model_weights(architecture).DEFAULT.get_state_dict(progress=False)
        except (OSError, RuntimeError) as absent:
            raise _no_weights(ask, absent) from absent
        own = network.state_dict()
        fitting = {
            name: value
            for name, value in weights.items()
            if name in own and own[name].shape == value.shape
        }
        network.load_state_dict(fitting, strict=False)
    return network


def settings_of(call: Any) -> list[str]:
    """What a function or a class of torchvision takes by name."""
    known = inspect.signature(call).parameters.values()
    return [each.name for each in known if each.kind is not each.VAR_KEYWORD]


def check_known(ask: ModelRequest, kind: type[nn.Module], others: Iterable[str]) -> None:
    """Refuse an argument that nothing reads: torchvision's classes take any, and say nothing.

    Raises:
        ModelError: neither the class nor who builds it has such an argument.
    """
    there = [*others, *settings_of(kind)]
    for name in ask.arguments:
        if name not in there:
            said = f"'{ask.name}' cannot be built with arguments {dict(ask.arguments)}"
            raise ModelError(f"{said}: there is no '{name}'; {nearest(name, there)}")


def _no_weights(ask: ModelRequest, absent: Exception) -> ModelError:
    said = next((line.strip() for line in str(absent).splitlines() if line.strip()), "")
    name = ask.name.removesuffix(":pretrained")
    return ModelError(
        f"'{ask.name}': its weights cannot be had ({type(absent).__name__}: {said}); get them "
        f"where there is a network, and give the file: {{model: {name}, start: FILE}}"
    )


def given(
    network: nn.Module, image: Tensor, targets: Sequence[tuple[Tensor, Tensor]] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What it is called with: a list of images, and of targets where it is to give its losses."""
    _show_as_it_is(network, image)
    images = list(image)
    if targets is None:
        return (images,), {}
    return (images, [{"boxes": b, "labels": c + FIRST} for b, c in targets]), {}


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


def losses_of(output: Any) -> dict[str, Tensor] | None:
    """The losses that it gave in train mode; None where it gave none."""
    if not isinstance(output, Mapping):
        return None
    return {name: value for name, value in output.items() if isinstance(value, Tensor)} or None


def found_by(output: Any) -> list[dict[str, Tensor]] | None:
    """What it found in each image, classes from 0; None where that is no list of detections."""
    if not isinstance(output, Sequence) or isinstance(output, str | bytes):
        return None
    wanted = {"boxes", "labels", "scores"}
    if not all(isinstance(each, Mapping) and wanted <= set(each) for each in output):
        return None
    return [
        {"boxes": each["boxes"], "scores": each["scores"], "labels": each["labels"] - FIRST}
        for each in output
    ]


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum of the losses, as torchvision's own training has it."""
    return torch.stack([value.float().mean() for value in losses.values()]).sum()
