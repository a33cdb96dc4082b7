"""Networks of timm and torchvision, built only where these packages are installed."""

import re
from contextlib import suppress
from typing import Any

from torch import nn

from stillhouse.errors import MissingExtra, ModelError, nearest
from stillhouse.models.detectors import of_torchvision
from stillhouse.models.family import ModelRequest
from stillhouse.models.hugging_face import classes_of_folder
from stillhouse.records.hub import asking_hub

TORCHVISION_CLASSES = 1000
"""Of all its default weights for classification."""


@asking_hub()
def build_timm(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`timm:resnet18`, or `timm:resnet18:pretrained` for the weights that timm offers.

    Any number of channels that timm can build; it folds pretrained stems to fit them.

    Raises:
        MissingExtra: timm is not installed.
        ModelError: timm has no such model, this one cannot take these channels, or its weights
            cannot be had.
    """
    try:
        import timm
    except ModuleNotFoundError as absent:
        if absent.name != "timm":  # it is there, but lacks a part of its own: another fault
            raise
        raise MissingExtra(f"model '{ask.name}'", "timm", "timm") from absent
    architecture = found["architecture"]
    if not timm.is_model(architecture):
        raise _unknown(ask, "timm", architecture, timm.list_models())
    # Some models of timm take no in_chans; all of them are for 3 channels without it.
    stem = {} if ask.channels == 3 else {"in_chans": ask.channels}
    pretrained = bool(found["pretrained"])
    try:
        network = timm.create_model(
            architecture, pretrained=pretrained, num_classes=ask.classes, **stem, **ask.arguments
        )
    except (TypeError, ValueError, AssertionError) as refused:
        if "in_chans" in str(refused):
            raise _three_channels(ask) from refused
        if ask.arguments:
            raise _arguments(ask, refused) from refused
        raise
    except (OSError, RuntimeError) as absent:  # of the hub, of the network, of timm's own list
        if not pretrained:
            raise
        raise _no_weights(ask, absent) from absent
    return _module(network)


def build_torchvision(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`torchvision:resnet18`, or `torchvision:resnet18:pretrained` for its default weights.

    Detectors of boxes (`torchvision:fcos_resnet50_fpn`), too: see `of_torchvision.build_by_name`.
    Pretrained networks come with 1000 classes; for another number their last linear layer is
    replaced by a fresh one.

    Raises:
        MissingExtra: torchvision is not installed.
        ModelError: no such network, other than 3 channels, no linear layer to replace, or its
            weights cannot be had.
    """
    if ask.channels != 3:
        raise _three_channels(ask)
    try:
        from torchvision import models
    except ModuleNotFoundError as absent:
        if absent.name != "torchvision":  # it is there, but lacks a part of its own: another fault
            raise
        raise MissingExtra(f"model '{ask.name}'", "torchvision", "torchvision") from absent
    architecture = found["architecture"]
    known, detectors = models.list_models(module=models), of_torchvision.architectures()
    if architecture in detectors:
        return of_torchvision.build_by_name(architecture, ask, pretrained=bool(found["pretrained"]))
    if architecture not in known:
        unknown = _unknown(ask, "torchvision", architecture, known)
        close = nearest(architecture, detectors).replace("nearest: ", "")
        raise ModelError(f"{unknown}; of detectors {close}")
    wanted: dict[str, Any] = {"weights": "DEFAULT"}
    if not found["pretrained"]:
        wanted = {"weights": None, "num_classes": ask.classes}
    try:
        network = _module(models.get_model(architecture, **wanted, **ask.arguments))
    except (TypeError, ValueError, AssertionError) as refused:
        if not ask.arguments:
            raise
        raise _arguments(ask, refused) from refused
    except (OSError, RuntimeError) as absent:
        if not found["pretrained"]:
            raise
        raise _no_weights(ask, absent) from absent
    if not found["pretrained"]:
        return network
    _fit_head(network, ask)
    return network


def comes_trained(name: str, classes: int) -> bool:
    """Whether a name stands for a classifier with weights for just so many classes.

    With another number of classes its last layer is fresh, so it has to be trained.

    >>> comes_trained("torchvision:resnet18:pretrained", 1000), comes_trained("resnet20", 10)
    (True, False)
    """
    package, _, rest = name.partition(":")
    architecture, _, pretrained = rest.rpartition(":")
    if pretrained != "pretrained":
        return False
    if package == "torchvision":
        with suppress(ImportError):
            if architecture in of_torchvision.architectures():
                return classes == of_torchvision.COCO_CLASSES
        return classes == TORCHVISION_CLASSES
    if package == "hf":
        return classes_of_folder(rest.removesuffix(":pretrained")) == classes
    if package != "timm":
        return False
    import timm

    found = timm.get_pretrained_cfg(architecture)
    return found is not None and found.num_classes == classes


def elsewhere(name: str) -> list[str]:
    """The names under which installed packages know a model that has no prefix here.

    >>> elsewhere("no such model")
    []
    """
    found = []
    with suppress(ImportError):
        import timm

        found += [f"timm:{name}"] if timm.is_model(name) else []
    with suppress(ImportError):
        from torchvision import models

        known = [*models.list_models(module=models), *of_torchvision.architectures()]
        found += [f"torchvision:{name}"] if name in known else []
    return found


def _arguments(ask: ModelRequest, refused: Exception) -> ModelError:
    said = f"'{ask.name}' cannot be built with arguments {dict(ask.arguments)}"
    return ModelError(f"{said}: {refused}; leave out or correct what it does not take")


def _no_weights(ask: ModelRequest, absent: Exception) -> ModelError:
    said = next((line.strip() for line in str(absent).splitlines() if line.strip()), "")
    name = ask.name.removesuffix(":pretrained")
    return ModelError(
        f"'{ask.name}': its weights cannot be had ({type(absent).__name__}: {said}); get them "
        f"where there is a network, and give the file: {{model: {name}, start: FILE}}"
    )


def _fit_head(network: nn.Module, ask: ModelRequest) -> None:
    linears = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linears:
        raise ModelError(
            f"'{ask.name}' has no linear layer to replace for {ask.classes} classes; "
            "take it without ':pretrained', or build it in Python"
        )
    head = network.get_submodule(linears[-1])
    if isinstance(head, nn.Linear) and head.out_features != ask.classes:
        fresh = nn.Linear(head.in_features, ask.classes, bias=head.bias is not None)
        network.set_submodule(linears[-1], fresh)


def _unknown(ask: ModelRequest, package: str, architecture: str, known: list[str]) -> ModelError:
    return ModelError(
        f"model '{ask.name}': {package} has no model '{architecture}'; "
        f"{nearest(architecture, known)}"
    )


def _three_channels(ask: ModelRequest) -> ModelError:
    return ModelError(
        f"'{ask.name}' takes images of 3 channels, asked for {ask.channels}; repeat the channel "
        "in the data, or take a network of this package such as 'resnet20'"
    )


def _module(network: Any) -> nn.Module:
    if not isinstance(network, nn.Module):
        raise ModelError(f"expected a torch.nn.Module, got {type(network).__name__}")
    return network
