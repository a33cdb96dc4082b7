"""The last map of a network before its head, by name or found, and what its head makes of it."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from stillhouse.bridges.shapes import as_map
from stillhouse.engine.facts import Facts
from stillhouse.engine.listen import listen
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage
from stillhouse.engine.taps import AS_MAP
from stillhouse.errors import ModelError, WiringError
from stillhouse.pairing.levels import heard_maps
from stillhouse.pairing.paired import Pair, as_maps, looked_at


def last_map(module: nn.Module, image: Tensor) -> str:
    """The tap of the last map [B, C, H, W], or tokens [B, N, D], that a network gives.

    Raises:
        ModelError: the model does not take such images, or gives no map.

    >>> from stillhouse.models import build_model
    >>> image = torch.zeros(2, 3, 32, 32)
    >>> [last_map(build_model(name, classes=10), image) for name in ("resnet8", "wrn_16_2")]
    ['layer3', 'relu']
    """
    maps = list(heard_maps(module, image))
    if not maps:
        said = "gives no maps [B, C, H, W] and no tokens [B, N, D]; name a tap, such as 'embedding'"
        raise ModelError(f"{type(module).__name__} {said}")
    return maps[-1]


def with_last_maps(
    stage: Stage, taps: tuple[str | None, str | None], add: Callable[[Stage, Pair], Stage]
) -> Stage:
    """The stage with what ``add`` composes for one tap of 'student' and one of 'teacher'.

    Where both are named it is composed now, else once training data are known: the last map is
    taken, and the notes say which one it is.

    Raises:
        WiringError: when it is completed, a layer of a teacher cache is to be found.
    """
    mine, theirs = taps
    if mine is not None and theirs is not None:
        return add(stage, as_maps(stage, (mine, theirs)))

    def complete(known: Stage, facts: Facts) -> Stage:
        found = (mine or _found(known, "student", facts), theirs or _found(known, "teacher", facts))
        whole = add(known, as_maps(known, found))
        return replace(whole, notes={**whole.notes, "pairs": " - ".join(found)})

    return replace(stage, complete=complete)


def _found(stage: Stage, name: str, facts: Facts) -> str:
    role, image = looked_at(stage, name, facts)
    return last_map(role.module, image)


def heard_of_teacher(stage: Stage, parts: list[str], facts: Facts) -> list[Tensor]:
    """Signals of the teacher on some training images, in eval mode.

    Raises:
        WiringError: the teacher is cached, or has no such tap.
    """
    role, image = looked_at(stage, "teacher", facts)
    heard = listen(role, parts, {role.reads[0]: image})
    return [heard[f"teacher.{part}"] for part in parts]


def check_pooled(stage: Stage, part: str, facts: Facts) -> None:
    """Refuse a feature of the teacher whose average over positions is not what its head reads.

    Raises:
        WiringError: the head reads something else.
    """
    feature, embedding = heard_of_teacher(stage, [part, EMBEDDING], facts)
    pooled = as_map(feature).mean((2, 3))
    if pooled.shape == embedding.shape and torch.allclose(pooled, embedding, rtol=1e-3, atol=1e-4):
        return
    head, tap = stage.role("teacher").head, part.removesuffix(AS_MAP)
    raise WiringError(
        f"stage '{stage.name}'",
        [
            f"the teacher's head '{head}' does not read the average of '{tap}' over positions, so "
            "it cannot judge a map like that; name the map that it pools, or 'embedding'"
        ],
    )


def check_rectified(stage: Stage, part: str, facts: Facts) -> None:
    """Refuse a feature of the teacher with values that no ReLU gives.

    Raises:
        WiringError: it has values below 0.
    """
    (feature,) = heard_of_teacher(stage, [part], facts)
    if feature.min() < 0:
        tap, least = part.removesuffix(AS_MAP), feature.min()
        said = f"'{tap}' of the teacher has values below 0 (down to {least:.3g})"
        raise WiringError(
            f"stage '{stage.name}'",
            [f"{said}, which the ReLU at the end of the projector cannot give; set relu: false"],
        )
