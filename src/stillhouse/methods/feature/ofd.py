"""OFD: the teacher's maps before their ReLU, cut off at a margin, where they make a difference."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from stillhouse.bridges.margins import MarginReLU, batch_norm_margin, observed_margin
from stillhouse.bridges.shapes import Connector, map_shape
from stillhouse.engine.facts import Facts
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.taps import AS_MAP, split_tap
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional import partial_distance
from stillhouse.methods.roles import as_role, as_teacher_role, label_term
from stillhouse.methods.settings import Weight, checked
from stillhouse.pairing import Pair, Pairs, heard_of_teacher, paired, unactivated

Margins = Literal["teacher", "zero"]


@checked
def ofd(
    student: nn.Module,
    teacher: nn.Module | Role,
    *,
    pairs: Pairs = "levels",
    margins: Margins = "teacher",
    weight: Weight = 1e-3,
    label_weight: Weight = 1.0,
) -> Stage:
    """Overhaul of feature distillation: maps before the ReLU, matched where the ReLU lets through.

    ``label_weight * CE(p_s, y) + weight * sum_l 2^(l - L) D(r_l(f_sl), max(f_tl, m_lc))``, where D
    is the squared error without what is below 0 on both sides (`partial_distance`), m_lc the mean
    of the teacher's values below 0 in a channel, r_l a 1x1 convolution with batch norm that learns
    with the student and is dropped. Deeper levels weigh more.

    Args:
        student: the learner.
        teacher: frozen; a model, or a Role called 'teacher'.
        pairs: taps from the image to the head, or how they are found: 'levels' or 'auto', and then
            moved before their activation, see `stillhouse.pairing.unactivated`. The teacher's must
            be there: a batch norm, or 'relu:in', the input of an activation; the student's may be
            after it.
        margins: 'teacher', by the parameters of the batch norm where one is tapped (the released
            code), else by the teacher's values on 128 training images; or 'zero', for maps after a
            ReLU, which the pairs then are: for teachers whose activations work in place.
        weight: of the deepest level. D is a sum over channels and positions, so it goes with the
            sizes of the maps. 1e-3: the released code for CIFAR-100.
        label_weight: of the cross-entropy. 1.0: the same.

    Returns:
        A stage that keeps the student; the bridges 'connected1', ... learn with it.

    Raises:
        RecipeError: a setting is out of its range, or no pair is named.
        WiringError: the teacher's role has another name; when it is completed, a map of the teacher
            has no values below 0.

    Paper: Heo et al. 2019, arXiv 1904.01866: "A Comprehensive Overhaul of Feature Distillation".

    Differs from the authors' code: its CIFAR-100 script leaves the teacher in train mode, here it
        is in eval mode. Where a sum of two branches is tapped, margins are observed, there they are
        those of the last batch norm. The student's map is brought to the size of the teacher's, and
        the convolution starts as PyTorch's do.

    >>> nets = [nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width)) for width in (4, 6)]
    >>> stage = ofd(*nets, pairs=(("0", "0"), ("1", "1")))
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('ofd1', 0.0005), ('ofd2', 0.001)]
    """

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        nodes, terms = list(stage.nodes), [label_term(label_weight)]
        for number, (mine, theirs) in enumerate(found, start=1):
            both = [f"student.{mine}", f"teacher.{theirs}"]
            connected, share = f"connected{number}", 2.0 ** (number - len(found))
            nodes.append(Bridge.sized(connected, Connector, both[0], by=both))
            if margins == "zero":
                nodes.append(Bridge.sized(f"target{number}", _from_zero, both[1], by=both[1]))
            reads = [connected, f"target{number}"]
            scale = weight * share
            terms.append(Term(f"ofd{number}", partial_distance, reads, weight=scale, cropped=True))
        learns = ["student", *(f"connected{number + 1}" for number in range(len(found)))]
        taps = [theirs for _, theirs in found]
        settle = partial(_with_margins, taps=taps) if margins == "teacher" else None
        return replace(stage, nodes=nodes, updates=[Update(learns, terms)], complete=settle)

    nodes = [as_role("student", student), as_teacher_role("ofd", teacher)]
    refine = unactivated if margins == "teacher" else None
    return paired(Stage("ofd", nodes, [Update("student", [])]), pairs, add, refine=refine)


def _from_zero(theirs: torch.Size) -> MarginReLU:
    return MarginReLU(torch.zeros(map_shape(theirs)[1]))


def _with_margins(stage: Stage, facts: Facts, *, taps: Sequence[str]) -> Stage:
    """The targets, once the teacher can be looked at."""
    heard = heard_of_teacher(stage, list(taps), facts)
    heard_at = zip(taps, heard, strict=True)
    after = [tap.removesuffix(AS_MAP) for tap, x in heard_at if not (x < 0).any()]
    if after:
        hint = (
            "name what is before its activation (a batch norm, or 'relu:in'; nothing can be heard "
            "before one that works in place or runs several times), or set margins: zero"
        )
        problems = [f"'{tap}' of the teacher has no values below 0; {hint}" for tap in after]
        raise WiringError("ofd", problems)
    nodes, notes = list(stage.nodes), []
    for number, (tap, x) in enumerate(zip(taps, heard, strict=True), start=1):
        margin, how = _margin(stage.role("teacher"), tap, x)
        nodes.append(Bridge(f"target{number}", MarginReLU(margin), f"teacher.{tap}"))
        notes.append(f"{tap.removesuffix(AS_MAP)} {how}")
    return replace(stage, nodes=nodes, notes={**stage.notes, "margins": ", ".join(notes)})


def _margin(teacher: Role, tap: str, x: Tensor) -> tuple[Tensor, str]:
    path, suffix = split_tap(teacher.aliases.get(tap, tap))
    module = teacher.module.get_submodule(path)
    if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) and f":{suffix}" in (":", AS_MAP):
        return batch_norm_margin(module), "by its batch norm"
    return observed_margin(x), f"by {len(x)} images"
