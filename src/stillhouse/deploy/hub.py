"""What other libraries read of a student's folder: timm's config, preprocessing of transformers."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from stillhouse.deploy.config import NetworkFacts
from stillhouse.deploy.preprocessing import Preprocessing

TIMM = "timm:"


def hub_keys(
    network: NetworkFacts, classes: tuple[str, ...], taken: Preprocessing, module: nn.Module
) -> dict[str, Any]:
    """Keys of config.json for the library that the network comes from.

    timm reads the folder as ``timm.create_model("local-dir:FOLDER", pretrained=True)``. Of a
    network of transformers its own config stands here. Others find names of classes.

    >>> facts = NetworkFacts(model="resnet8", by_name=True, classes=2, channels=1, size=8,
    ...                      parameters=10)
    >>> wanted = Preprocessing(pixels=True, channels=1, height=8, width=8, size=(8, 8))
    >>> hub_keys(facts, ("cat", "dog"), wanted, nn.Identity())["id2label"]
    {'0': 'cat', '1': 'dog'}
    """
    labels = {str(at): name for at, name in enumerate(classes)}
    named = {"id2label": labels, "label2id": {name: int(at) for at, name in labels.items()}}
    if network.model.startswith(TIMM) and network.by_name and not network.shared:
        return _timm(network, classes, taken)
    config = getattr(module, "config", None)
    if network.model.startswith("hf:") and config is not None and hasattr(config, "to_dict"):
        known: Mapping[str, Any] = config.to_dict()
        return {**known, "architectures": [type(module).__name__], **named}
    return {"architectures": [network.model], "num_classes": len(classes), **named}


def _timm(network: NetworkFacts, classes: tuple[str, ...], taken: Preprocessing) -> dict[str, Any]:
    architecture = network.model.removeprefix(TIMM).partition(":")[0]
    stem = {} if network.channels == 3 else {"in_chans": network.channels}
    return {
        "architecture": architecture,
        "num_classes": network.classes,
        "label_names": list(classes),
        "model_args": {**network.arguments, **stem},
        "pretrained_cfg": {
            "input_size": [network.channels, *taken.size],
            "interpolation": taken.interpolation,
            "crop_pct": taken.height / taken.resize if taken.resize else 1.0,
            "crop_mode": "center",
            "mean": list(taken.mean),
            "std": list(taken.std),
            "num_classes": network.classes,
        },
    }


def processor(taken: Preprocessing) -> dict[str, Any]:
    """preprocessor_config.json of transformers: the same preparation in its words."""
    height, width = taken.size
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 2,  # bilinear, in Pillow's numbers
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(taken.mean),
        "image_std": list(taken.std),
    }
