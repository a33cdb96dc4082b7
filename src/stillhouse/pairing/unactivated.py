"""Maps before their activation: where a network can still tell how far below 0 it was."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.flags import Flags
from stillhouse.engine.stage import Stage
from stillhouse.errors import WiringError
from stillhouse.pairing.levels import MAP, TOKENS, Level, levels
from stillhouse.pairing.match import in_order, likeness, nearness
from stillhouse.pairing.paired import How, Pair, looked_at

NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish)


@dataclass(frozen=True)
class Heard:
    """A map that a batch norm gives, that an activation takes, or that a level ends in."""

    tap: str
    value: Tensor
    normed: bool = False
    ends: bool = False

    @property
    def level(self) -> Level:
        """Its tap and shape."""
        return Level(self.tap, tuple(self.value.shape[1:]))

    @property
    def signed(self) -> bool:
        """Whether it has values below 0."""
        return bool(self.value.min() < 0)


def unactivated(module: nn.Module, image: Tensor) -> tuple[Level | None, ...]:
    """For each level of a network its map before the activation; None where none can be heard.

    A level that ends in an activation: the last map of its shape before, which a batch norm gives
    or an activation takes. A level that ends in a sum or a linear layer, with values below 0: what
    the next batch norm makes of it where the shape stays (networks of pre-activation), else itself.
    Maps that are changed in place, and modules that run several times, cannot be heard.

    >>> from stillhouse.models import build_model
    >>> image = torch.randn(2, 3, 32, 32)
    >>> [found.tap for found in unactivated(build_model("resnet8", classes=10), image)]
    ['layer1.0.relu2:in', 'layer2.0.relu2:in', 'layer3.0.relu2:in']
    """
    return _of_levels(levels(module, image), _listen(module, image))


def found_unactivated(stage: Stage, train: Batches, by: How) -> tuple[Pair, ...]:
    """The pairs of 'student' and 'teacher' before their activations; see `unactivated`.

    Where the student's cannot be heard its level is taken as it is; the teacher's must be. 'auto'
    takes the most alike maps of the teacher, at any depth.

    Raises:
        WiringError: nothing of the teacher can be heard before an activation, or it is a recording.
    """
    student, mine = looked_at(stage, "student", train)
    teacher, theirs = looked_at(stage, "teacher", train)
    plain = levels(student.module, mine)
    heard, known = _listen(student.module, mine), _listen(teacher.module, theirs)
    own = [a or b for a, b in zip(_of_levels(plain, heard), plain, strict=True)]
    if by == "levels":
        targets = [a for a in _of_levels(levels(teacher.module, theirs), known) if a]
    else:
        targets = [one.level for one in known if one.signed]
    if not targets:
        said = (
            "nothing of the teacher can be heard before an activation: its activations work in "
            "place, run several times or are no modules"
        )
        hint = "name taps with values below 0, or set margins: zero for maps after the activation"
        raise WiringError(f"stage '{stage.name}'", [f"{said}; {hint}"])
    if by == "levels":
        return tuple((a.tap, b.tap) for a, b in in_order(own, targets, nearness))
    maps = {one.tap: one.value for one in heard}, {one.tap: one.value for one in known}
    pairs = in_order(own, targets, lambda a, b: likeness(maps[0][a.tap], maps[1][b.tap]))
    return tuple((a.tap, b.tap) for a, b in pairs)


def _of_levels(found: tuple[Level, ...], heard: list[Heard]) -> tuple[Level | None, ...]:
    return tuple(_before(level, heard) for level in found)


def _before(level: Level, heard: list[Heard]) -> Level | None:
    at = next(i for i, one in enumerate(heard) if one.ends and one.tap == level.tap)
    same = [one.level.shape == level.shape and one.signed and not one.ends for one in heard]
    if heard[at].signed:
        later = range(at + 1, len(heard))
        return next((heard[i].level for i in later if same[i] and heard[i].normed), level)
    return next((heard[i].level for i in range(at - 1, -1, -1) if same[i]), None)


def _listen(module: nn.Module, image: Tensor) -> list[Heard]:
    """What can be tapped, in the order of the run; a tensor once, and once more where it ends."""
    ends = {level.tap for level in levels(module, image)}
    heard: list[tuple[Heard, int]] = []
    runs: Counter[tuple[str, bool]] = Counter()

    def note(one: Heard) -> None:
        runs[one.tap, one.ends] += 1
        known = any(one.value is other.value for other, _ in heard if not other.ends)
        if one.ends or not known:
            heard.append((one, one.value._version))

    def listen(name: str, part: nn.Module) -> None:
        def taken(_: nn.Module, args: tuple[Any, ...]) -> None:
            if _is_map(args):
                note(Heard(f"{name}:in", args[0]))

        def given(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
            if isinstance(part, NORMS) and _is_map((output,)):
                note(Heard(name, output, normed=True))
            if name in ends:
                note(Heard(name, output, ends=True))

        if isinstance(part, ACTIVATIONS):
            handles.append(part.register_forward_pre_hook(taken))
        handles.append(part.register_forward_hook(given))

    handles: list[Any] = []
    flags = Flags([module])
    try:
        for name, part in module.named_modules():
            listen(name, part)
        module.eval()
        with torch.no_grad():
            module(image)
    finally:
        for handle in handles:
            handle.remove()
        flags.restore()
    whole = [one for one, version in heard if one.value._version == version]
    return [one for one in whole if runs[one.tap, one.ends] == 1]


def _is_map(args: tuple[Any, ...]) -> bool:
    return bool(args) and isinstance(args[0], Tensor) and args[0].ndim in (TOKENS, MAP)
