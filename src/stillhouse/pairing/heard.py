"""Heard maps: what the modules of a network give while it runs once, as maps [B, C, H, W]."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.heads import find_head, heads_beside
from stillhouse.engine.maps import MAP, MapLayout
from stillhouse.engine.signals import LOGITS
from stillhouse.engine.taps import split_tap
from stillhouse.errors import ModelError
from stillhouse.faults import first_line
from stillhouse.models.given import set_eval
from stillhouse.models.outputs import layer_output, named_outputs

_ATTENTION_CLASS = re.compile(r"(Attention|Attn)([A-Z0-9]?\w?|Pool\w*)$|^MHSA$", re.ASCII)
_PADDING_CLASS = re.compile(r"Pad(\dd)?$")
_ATTENTION_NAME = re.compile(r"(attn|attention|mhsa)(_?pool)?$")


@dataclass(frozen=True)
class HeardMap:
    """One map that a network gives.

    Args:
        taps: the modules that give it, from the innermost to the outermost; with a position
            (``block:1``) where it is not the first of what a module gives.
        value: the map, [B, C, H, W].
        tokens: whether it came as tokens [B, N, D].
    """

    taps: tuple[str, ...]
    value: Tensor
    tokens: bool


def hear(module: nn.Module, image: Tensor) -> list[HeardMap]:
    """All maps of a network in the order of the run, each once.

    Left out: what modules inside an attention give, and modules that run several times, hand on
    what they got or pad it; what stands before the first layer with parameters; positions in
    another grid than that of the block around them; maps of one position; what is changed in place
    afterwards; what a further head gives; and what a convolution that is the head gives, and all
    behind it. Of several outputs the first that has a row for each image counts; what has names is
    given by a whole network, not by a layer.

    Raises:
        ModelError: the model does not take such images, or its tokens do not stand in rows.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU()), nn.AdaptiveAvgPool2d(1))
    >>> [one.taps for one in hear(net, torch.zeros(2, 3, 8, 8))]
    [('0',), ('1.0', '1')]
    """
    if not MapLayout.of(module).rows:
        raise ModelError(
            f"{type(module).__name__} keeps its tokens in the order of its windows, so they are "
            "no map [B, C, H, W]; take a method of embeddings or logits"
        )
    listener = _Listener(module, len(image))
    flags = Flags([module])
    try:
        set_eval(module)
        with torch.no_grad():
            output = module(image)
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__} does not take images {list(image.shape[1:])}: "
            f"{first_line(error)}"
        ) from error
    finally:
        listener.close()
        flags.restore()
    return listener.maps(image, named_outputs(output).get(LOGITS))


def is_attention(name: str, module: nn.Module) -> bool:
    """Whether a module is attention, by the name of its class or its own.

    >>> names = ("layers.0.self_attn", "attn_pool", "x")
    >>> [is_attention(name, nn.Identity()) for name in names]
    [True, True, False]
    """
    if isinstance(module, nn.MultiheadAttention):
        return True
    named = _ATTENTION_NAME.search(name.rpartition(".")[2])
    return bool(named or _ATTENTION_CLASS.search(type(module).__name__))


class _Listener:
    """Hooks on all modules outside attention, and what they heard."""

    def __init__(self, module: nn.Module, images: int) -> None:
        self.module, self.images = module, images
        self.given: dict[str, tuple[Tensor, int]] = {}
        self.runs: Counter[str] = Counter()
        self._got: dict[str, list[tuple[int, int]]] = {}
        self._handles: list[Any] = []
        inside: tuple[str, ...] = ()
        for name, part in module.named_modules():
            if not name or name.startswith(inside):
                continue
            if is_attention(name, part):
                inside = (*inside, f"{name}.")
                continue
            if _PADDING_CLASS.search(type(part).__name__):
                continue
            self._handles.append(part.register_forward_pre_hook(self._before(name)))
            self._handles.append(part.register_forward_hook(self._after(name)))

    def _before(self, name: str) -> Any:
        def hook(_module: nn.Module, args: tuple[Any, ...]) -> None:
            self._got[name] = [(id(x), x._version) for x in args if isinstance(x, Tensor)]

        return hook

    def _after(self, name: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            self.runs[name] += 1
            tap, x = self._first(name, output)
            if x is not None and (id(x), x._version) not in self._got[name]:
                self.given[tap] = x, x._version

        return hook

    def _first(self, name: str, output: Any) -> tuple[str, Tensor | None]:
        """The tap of what a layer gives of the images, and what it is."""
        if isinstance(output, Mapping):
            return name, None
        if isinstance(output, tuple | list):
            for at, value in enumerate(output):
                if isinstance(value, Tensor) and value.ndim and len(value) == self.images:
                    first = value is layer_output(output)
                    return (name if first else f"{name}:{at}"), value
        return name, layer_output(output)

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def maps(self, image: Tensor, logits: Tensor | None) -> list[HeardMap]:
        layout, head = MapLayout.of(self.module), self._head()
        last = self._convolution_head(head, logits)
        beside = [] if head is None else heads_beside(self.module, head)
        taps: dict[int, list[str]] = {}
        values: dict[int, Tensor] = {}
        learned = not any(True for _ in self.module.parameters())
        for name, (x, version) in self.given.items():  # an outer module ends after its parts
            if name == last:
                break
            path = split_tap(name)[0]
            learned = learned or any(True for _ in self.module.get_submodule(path).parameters())
            kept = learned and name not in beside and x._version == version
            if kept and self.runs[path] == 1:
                taps.setdefault(id(x), []).append(name)
                values[id(x)] = x
        found = []
        for key in sorted(taps, key=lambda key: list(self.given).index(taps[key][-1])):
            value = layout.read(values[key], image.shape)
            if value is not None and value.shape[2] * value.shape[3] > 1:
                found.append(HeardMap(tuple(taps[key]), value, values[key].ndim < MAP))
        return [one for one in found if not _rearranged(one, found)]

    def _head(self) -> str | None:
        try:
            return find_head(self.module, who="model")
        except ModelError:
            return None

    def _convolution_head(self, head: str | None, logits: Tensor | None) -> str | None:
        """The path of a head that gives a map of logits."""
        given = self.given.get(head or "")
        if given is None or logits is None or given[0].ndim != MAP:
            return None
        return head if logits.ndim == 2 and given[0].shape[1] == logits.shape[1] else None


def _rearranged(one: HeardMap, found: list[HeardMap]) -> bool:
    """Whether a block around gives as many positions in another grid: patches within a block."""
    grid = one.value.shape[2:]
    return any(
        one.taps[0].startswith(f"{tap}.") and grid.numel() == outer.numel() and grid != outer
        for each in found
        for tap, outer in ((tap, each.value.shape[2:]) for tap in each.taps)
    )
