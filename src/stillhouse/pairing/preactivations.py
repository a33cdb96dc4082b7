"""Pre-activations: for a tap, the same map before its activation, where values are still below 0.

`unactivated` finds it for any activation by shape, `before_relu` at a ReLU by value.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.maps import MAP, TOKENS
from stillhouse.models.given import set_eval

NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish)
IMAGES = 8
"""So many tell whether one map is the ReLU of another."""


@dataclass(frozen=True)
class MapOutput:
    """A map that a batch norm gives, that an activation takes, or that one of the taps gives."""

    tap: str
    value: Tensor
    normed: bool = False
    asked: bool = False


def unactivated(module: nn.Module, image: Tensor, taps: Sequence[str]) -> tuple[str, ...]:
    """For each tap one of the same map before its activation; the tap itself where there is none.

    After an activation: the last map of that shape with values below 0 which a batch norm gives or
    an activation takes. After a sum or a linear layer, with values below 0: what the next batch
    norm makes of it where the shape stays, as in networks of pre-activation, else the tap itself.
    Maps that are changed in place, and modules that run several times, cannot be heard.

    Args:
        module: any model of images; only listened to, in eval mode.
        image: some of its images.
        taps: outputs of its modules.

    >>> from stillhouse.models import build_model
    >>> image = torch.randn(2, 3, 32, 32)
    >>> unactivated(build_model("resnet8", classes=10), image, ["relu", "layer3"])
    ('bn1', 'layer3.0.relu2:in')
    """
    heard = _listen(module, image, taps)
    return tuple(_before(tap, heard) or tap for tap in taps)


def before_relu(module: nn.Module, image: Tensor, taps: Sequence[str]) -> tuple[str, ...]:
    """For each tap the input of the ReLU whose output it gives; the tap itself where there is none.

    There is none where the map is no output of a ReLU, and where the ReLU is a function, works in
    place or is a module that runs several times.

    Args:
        module: any model of images; only listened to, in eval mode.
        image: some of its images.
        taps: outputs of its modules.

    >>> net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Conv2d(4, 4, 3))
    >>> before_relu(net, torch.randn(2, 3, 8, 8), ["0", "1"])
    ('0.1:in', '1')
    """
    outputs: dict[str, Tensor] = {}
    inputs: dict[str, tuple[Tensor, int]] = {}
    runs: Counter[str] = Counter()

    def listen(name: str) -> Any:
        def hook(part: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            runs[name] += 1
            if name in taps:
                outputs[name] = output
            if given and isinstance(given[0], Tensor) and not any(part.children()):
                inputs[name] = given[0], given[0]._version

        return hook

    parts = [(name, part) for name, part in module.named_modules() if name]
    handles = [part.register_forward_hook(listen(name)) for name, part in parts]
    flags = Flags([module])
    try:
        set_eval(module)
        with torch.no_grad():
            module(image[:IMAGES])
    finally:
        for handle in handles:
            handle.remove()
        flags.restore()
    kept = {n: x for n, (x, seen) in inputs.items() if runs[n] == 1 and x._version == seen}
    return tuple(_behind(kept, outputs.get(tap)) or tap for tap in taps)


def _before(tap: str, heard: list[MapOutput]) -> str | None:
    places = [at for at, one in enumerate(heard) if one.asked and one.tap == tap]
    if not places:
        return None
    end = heard[places[0]]
    before, after = heard[: places[0]], heard[places[0] + 1 :]
    if bool((end.value < 0).any()):
        return next((one.tap for one in after if one.normed and _stands_for(one, end)), None)
    return next((one.tap for one in reversed(before) if _stands_for(one, end)), None)


def _stands_for(one: MapOutput, end: MapOutput) -> bool:
    same = not one.asked and one.value.shape == end.value.shape
    return same and bool((one.value < 0).any())


def _listen(module: nn.Module, image: Tensor, taps: Sequence[str]) -> list[MapOutput]:
    """What can be tapped, in the order of the run; each tensor once, and once more as asked."""
    heard: list[tuple[MapOutput, int]] = []
    runs: Counter[tuple[str, bool]] = Counter()
    handles: list[Any] = []

    def note(one: MapOutput) -> None:
        runs[one.tap, one.asked] += 1
        known = any(one.value is other.value for other, _ in heard if not other.asked)
        if one.asked or not known:
            heard.append((one, one.value._version))

    def listen(name: str, part: nn.Module) -> None:
        def taken(_: nn.Module, args: tuple[Any, ...]) -> None:
            if args and _is_map(args[0]):
                note(MapOutput(f"{name}:in", args[0]))

        def given(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
            if isinstance(part, NORMS) and _is_map(output):
                note(MapOutput(name, output, normed=True))
            if name in taps and _is_map(output):
                note(MapOutput(name, output, asked=True))

        if isinstance(part, ACTIVATIONS):
            handles.append(part.register_forward_pre_hook(taken))
        handles.append(part.register_forward_hook(given))

    flags = Flags([module])
    try:
        for name, part in module.named_modules():
            listen(name, part)
        set_eval(module)
        with torch.no_grad():
            module(image)
    finally:
        for handle in handles:
            handle.remove()
        flags.restore()
    whole = [one for one, version in heard if one.value._version == version]
    return [one for one in whole if runs[one.tap, one.asked] == 1]


def _is_map(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim in (TOKENS, MAP)


def _behind(inputs: dict[str, Tensor], output: Tensor | None) -> str | None:
    """The tap of the input that has negative values and of which this is the ReLU."""
    if not isinstance(output, Tensor):
        return None
    for name, x in reversed(inputs.items()):
        if x.shape == output.shape and bool((x < 0).any()) and torch.equal(x.relu(), output):
            return f"{name}:in"
    return None
