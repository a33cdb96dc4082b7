"""Networks of transformers: a folder with its config.json, or a name on its hub.

Of data that are texts also kinds of networks by name, made of a config (`sentences`).
"""

import json
import re
from pathlib import Path
from typing import Any

from torch import nn

from stillhouse.errors import MissingExtra, ModelError
from stillhouse.faults import first_line
from stillhouse.models.detectors import of_transformers
from stillhouse.models.family import ModelRequest
from stillhouse.models.sentences.of_transformers import classes_of, config_of, of_kind
from stillhouse.records.hub import asking_hub

CONFIG = "config.json"
FRESH = ("hf:rt_detr", "hf:rt_detr_v2", "hf:d_fine", "hf:yolos", "hf:detr")
"""Kinds of detectors that are tested, of the many that transformers has."""


@asking_hub()
def build_transformers(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`hf:FOLDER` or `hf:OWNER/NAME`, with fresh weights, or `:pretrained` with those that it has.

    Code that comes with a model is never run: only classes of transformers itself are built. With
    another number of classes than the weights have, the classifier is fresh.

    Raises:
        MissingExtra: transformers is not installed.
        ModelError: there is no such folder and the hub does not answer, it is no image classifier
            and no detector, or it does not take the arguments.
    """
    try:
        import transformers
    except ModuleNotFoundError as absent:
        if absent.name != "transformers":  # it is there, but lacks a part of its own
            raise
        raise MissingExtra(f"model '{ask.name}'", "transformers", "transformers") from absent
    auto, source = transformers.AutoModelForImageClassification, found["source"]
    if ask.tokens is None:
        config = _config(transformers, source, ask)
        if config.model_type in of_transformers.kinds():
            auto = transformers.AutoModelForObjectDetection
    else:
        config = config_of(transformers, source, ask, ask.tokens)
        auto = classes_of(transformers, ask.tokens)
    try:
        if not found["pretrained"]:
            made: Any = auto.from_config(config, trust_remote_code=False)
            if auto is transformers.AutoModelForObjectDetection:
                made.requires_grad_(True)  # DETR freezes its backbone, which is fresh here
        else:
            made = auto.from_pretrained(
                source,
                config=config,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                use_safetensors=True,
            )
    except Exception as refused:  # of many kinds: files, network, sizes
        if not found["pretrained"] and not Path(source).is_dir():
            raise _unbuildable(ask, refused) from refused
        raise _refused(ask, source, refused) from refused
    if not isinstance(made, nn.Module):
        raise ModelError(f"'{ask.name}' gave a {type(made).__name__}, not a torch.nn.Module")
    return made


def classes_of_folder(source: str) -> int | None:
    """How many classes the weights in a folder tell apart; None where there is no such folder.

    Of a detector with the background, as `build_model` counts them.

    >>> classes_of_folder("no/such/folder") is None
    True
    """
    path = Path(source) / CONFIG
    if not path.is_file():
        return None
    settings = json.loads(path.read_text(encoding="utf-8"))
    known = len(settings.get("id2label", ())) or 2  # transformers writes no labels for two
    names = settings.get("architectures") or ()
    return known + any(str(name).endswith(of_transformers.ENDING) for name in names)


def _config(transformers: Any, source: str, ask: ModelRequest) -> Any:
    kinds = of_transformers.kinds()
    if source in kinds and not Path(source).exists():
        return _of_detector(transformers, source, ask)
    try:
        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
        unknown = [name for name in ask.arguments if not hasattr(config, name)]
        outputs = ask.classes - 1 if config.model_type in kinds else ask.classes
        given = {**ask.arguments, "num_labels": outputs}
        for name, value in given.items():
            setattr(config, name, value)
    except Exception as refused:  # of many kinds: files, network, code of the model's own
        raise _refused(ask, source, refused) from refused
    if unknown:
        said = f"{type(config).__name__} has no setting '{unknown[0]}'"
        raise ModelError(f"'{ask.name}': {said}; leave it out or correct its name")
    if hasattr(config, "num_channels"):
        config.num_channels = ask.channels
    elif ask.channels != 3:
        raise ModelError(f"'{ask.name}' takes images of 3 channels, asked for {ask.channels}")
    return config


def _of_detector(transformers: Any, source: str, ask: ModelRequest) -> Any:
    """The config of a kind of detector: of fresh weights, its backbone included.

    One that holds places of its images (YOLOS) has them for images of the size of the data.
    """
    kind = transformers.CONFIG_MAPPING[source]
    given = {"num_labels": ask.classes - 1, **ask.arguments}
    plain = kind()
    if ask.size is not None and hasattr(plain, "image_size"):
        given = {"image_size": list(ask.size), **given}
    if hasattr(plain, "use_pretrained_backbone"):
        given = {"use_pretrained_backbone": False, **given}
    return of_kind(kind, source, ask, given)


def _unbuildable(ask: ModelRequest, refused: Exception) -> ModelError:
    """Of a network that is made from a config alone: only its settings can be wrong."""
    given = f" with arguments {dict(ask.arguments)}" if ask.arguments else ""
    said = f"'{ask.name}' cannot be built{given}: {first_line(refused)}"
    return ModelError(f"{said}; correct the settings that do not go together")


def _refused(ask: ModelRequest, source: str, refused: Exception) -> ModelError:
    said = next((line.strip() for line in str(refused).splitlines() if line.strip()), "")
    if Path(source).is_dir():
        there = (Path(source) / CONFIG).is_file()
        what = said if there else f"the folder has no {CONFIG}"
        kind = "an image classifier or detector" if ask.tokens is None else "a model for this task"
        hint = f"give the folder of {kind}, as save_pretrained writes it"
    else:
        what = f"there is no folder '{source}', and the hub gave no such model ({said})"
        hint = "download it where there is a network, and give the folder: hf:FOLDER"
        if ask.tokens is None:
            hint += f"; kinds of detectors that need none: {', '.join(FRESH)}"
    return ModelError(f"model '{ask.name}': {what}; {hint}")
