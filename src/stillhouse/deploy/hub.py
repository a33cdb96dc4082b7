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
    """preprocessor_config.json of transformers: the same preparation in its words.

    A square is scaled to and cut out of the middle as here. transformers has no words for covering
    another shape: there images are stretched, which `processor_differs` says.

    >>> wanted = Preprocessing(pixels=True, channels=3, height=8, width=8, size=(8, 8))
    >>> processor(wanted)["size"], processor(wanted)["crop_size"]
    ({'shortest_edge': 8}, {'height': 8, 'width': 8})
    """
    height, width = taken.size
    place: dict[str, Any] = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": height, "width": width},
    }
    if height == width:
        place = {
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": taken.resize or height},
            "do_center_crop": True,
            "crop_size": {"height": height, "width": width},
        }
    return {
        **place,
        "do_resize": True,
        "do_convert_rgb": taken.channels == 3,
        "resample": 2,  # bilinear, in Pillow's numbers
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(taken.mean),
        "image_std": list(taken.std),
    }


def processor_differs(taken: Preprocessing) -> list[str]:
    """Where the processor of transformers prepares images otherwise than the student saw them.

    >>> wanted = Preprocessing(pixels=True, channels=3, height=8, width=6, size=(8, 6))
    >>> processor_differs(wanted)[1]
    'images of another shape are stretched to 8 x 6, where the student saw their middle'
    """
    found = ["images of another size differ by a grey level or a pixel's width, since it scales by "
             "torchvision and rounds lengths down"]  # fmt: skip
    (height, width), own = taken.size, taken.inside.own
    if height != width:
        found.append(
            f"images of another shape are stretched to {height} x {width}, where the student saw "
            "their middle"
        )
    if taken.channels == 1:
        found.append("colour does not become grey: give grey images")
    if taken.held:
        found.append(f"images are scaled once, and not first to {taken.held} pixels")
    if own is not None and (own.bgr or own.pad or own.channels or own.size):
        found.append(
            "the network's own form (order of colours, padding, channels, size) is left out"
        )
    if taken.inside.mirrored:
        found.append("what is given for the mirrored image is not added")
    return found
