"""A stage whose layers pair up: by name at once, or as soon as a batch is there to look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from stillhouse.engine.facts import Facts
from stillhouse.engine.graph import Graph
from stillhouse.engine.maps import has_plain_maps
from stillhouse.engine.nodes import Role
from stillhouse.engine.order import order_nodes
from stillhouse.engine.signals import EMBEDDING, LOGITS, Signals, part
from stillhouse.engine.stage import Stage
from stillhouse.engine.taps import AS_MAP, POOLED
from stillhouse.errors import RecipeError, WiringError, nearest
from stillhouse.pairing.match import propose

Pair = tuple[str, str]
"""A tap of the student and one of the teacher."""

How = Literal["levels", "auto"]

Pairs = How | tuple[Pair, ...]
"""Pairs by name, or how they are found: see `propose`."""

IMAGES = 4
"""Dimensions of a batch of images."""
LOOKED_AT = 128
"""Training images on which layers are compared."""


Refine = Callable[[nn.Module, Tensor, Sequence[str]], tuple[str, ...]]
"""Of a network, images as it reads them, and its taps: other taps in their place."""


def paired(
    stage: Stage,
    pairs: Pairs,
    add: Callable[[Stage, tuple[Pair, ...]], Stage],
    *,
    refine: Refine | None = None,
) -> Stage:
    """The stage with what ``add`` composes for pairs of taps of 'student' and 'teacher'.

    Pairs that are named are composed now. Else the stage is completed once training data are
    known; which pairs it were is written in its notes.

    Args:
        stage: with the roles 'student' and 'teacher', and an update.
        pairs: ``(("layer2", "layer2"), ...)``, 'levels' or 'auto'.
        add: of (stage, pairs); gives the stage with its bridges and terms.
        refine: what moves the taps that were found, such as `before_relu`; named ones stay.

    Raises:
        RecipeError: no pair is named, or no such way to find them.
        WiringError: when it is completed, the teacher is cached, which has no layers.
    """
    if not isinstance(pairs, str):
        if not pairs or any(len(pair) != 2 for pair in pairs):
            said = f"pairs is {pairs!r}; write pairs of taps, [[student, teacher], ...]"
            raise RecipeError(f"method '{stage.name}'", [f"{said}, or one of 'levels', 'auto'"])
        return add(stage, tuple(as_maps(stage, (mine, theirs)) for mine, theirs in pairs))
    if pairs not in get_args(How):
        said = f"pairs is {pairs!r}; {nearest(pairs, get_args(How))}, or name the taps"
        raise RecipeError(f"method '{stage.name}'", [said])

    def complete(known: Stage, facts: Facts) -> Stage:
        found = found_pairs(known, facts, by=pairs, refine=refine)
        said = ", ".join(f"{mine} - {theirs}" for mine, theirs in found)
        whole = add(known, tuple(as_maps(known, pair) for pair in found))
        return replace(whole, notes={**whole.notes, "pairs": said})

    return replace(stage, complete=complete)


def as_maps(stage: Graph, pair: Pair) -> Pair:
    """A tap of 'student' and one of 'teacher', each read as a map."""
    mine, theirs = pair
    return as_map_tap(stage, "student", mine), as_map_tap(stage, "teacher", theirs)


def as_map_tap(stage: Graph, name: str, tap: str) -> str:
    """The tap of a role that gives a map [B, C, H, W]: itself where channels always come first.

    In a network of other layers it is read by its layout: channels last, or tokens of patches.
    """
    node = next((node for node in stage.nodes if node.name == name), None)
    whole = tap in (EMBEDDING, LOGITS) or tap.endswith(POOLED)
    if not isinstance(node, Role) or whole or has_plain_maps(node.module):
        return tap
    return f"{tap}{AS_MAP}"


def found_pairs(
    stage: Stage, facts: Facts, *, by: How, refine: Refine | None = None
) -> tuple[Pair, ...]:
    """The pairs of 'student' and 'teacher', each on images as it reads them."""
    student, mine = looked_at(stage, "student", facts)
    teacher, theirs = looked_at(stage, "teacher", facts)
    pairs = propose(student.module, teacher.module, mine, by=by, teacher_image=theirs)
    if refine is None:
        return pairs
    my_taps, their_taps = zip(*pairs, strict=True)
    moved = refine(student.module, mine, my_taps), refine(teacher.module, theirs, their_taps)
    return tuple(zip(*moved, strict=True))


def looked_at(stage: Stage, name: str, facts: Facts) -> tuple[Role, Tensor]:
    """A role, and what it reads of some training images, on its device.

    Raises:
        WiringError: it is another kind of node, such as a teacher cache.
    """
    node = stage.node(name)
    if not isinstance(node, Role):
        said = f"'{name}' is a {type(node).__name__}, whose layers cannot be looked at"
        raise WiringError(f"stage '{stage.name}'", [f"{said}; name the pairs of taps"])
    return node, image_shown(stage, node, facts.sample(LOOKED_AT))


def image_shown(stage: Graph, role: Role, batch: Mapping[str, Tensor]) -> Tensor:
    """The image that a role reads of this batch, on the device of its module.

    Raises:
        WiringError: it reads something else, of which no layer gives maps.
    """
    found = shown(stage, role, batch)
    image, *others = found.values()
    if not image.is_floating_point() or (others and image.ndim != IMAGES):
        read = " and ".join(part(name) for name in found)
        said = f"'{role.title}' reads {read}, and layers are found by the maps that they give of "
        raise WiringError(
            f"stage '{stage.name}'",
            [f"{said}images; name them, as pairs: [[STUDENT'S LAYER, TEACHER'S LAYER]]"],
        )
    return image


def shown(stage: Graph, role: Role, batch: Mapping[str, Tensor]) -> Signals:
    """What a role reads of this batch, by name and in order, on the device of its module."""
    device = next((p.device for p in role.module.parameters()), torch.device("cpu"))
    known: Signals = {name: value.to(device) for name, value in batch.items()}
    with torch.no_grad():
        for node in order_nodes(stage, role.reads):
            known.update(node.run(known))
    return {name: known[name] for name in role.reads}
