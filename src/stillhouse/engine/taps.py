"""Taps: where a model is listened to. Hooks only; no model is ever edited.

A tap is a module path with an optional suffix: ``layer3`` (its output), ``fc:in`` (its first
input), ``encoder:1`` or ``encoder:hidden`` (one element of a tuple or mapping it returns) or
``encoder:maps.0`` (one of a list in a mapping). Behind any of these ``:as_map`` reads what is heard
as a map [B, C, H, W], see `MapLayout`, and ``:pooled`` tokens [B, L, D] as their mean [B, D],
without those that an ``attention_mask`` says are filling.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.signals import LOGITS
from stillhouse.errors import WiringError, nearest
from stillhouse.models.outputs import layer_output, named_outputs, nested_outputs

INPUT = "in"
AS_MAP = ":as_map"
POOLED = ":pooled"


def split_tap(tap: str) -> tuple[str, str]:
    """Module path and suffix.

    >>> split_tap("layer3.0:in"), split_tap("fc")
    (('layer3.0', 'in'), ('fc', ''))
    """
    path, _, suffix = tap.partition(":")
    return path, suffix


def tap_problem(module: nn.Module, tap: str, *, who: str) -> str | None:
    """Say why a tap cannot be: None when the module path exists.

    >>> tap_problem(nn.Sequential(nn.Linear(2, 2)), "1", who="student")
    "student has no module '1'; there is: 0 ('stillhouse taps' lists all)"
    """
    path, _ = split_tap(tap)
    paths = [name for name, _ in module.named_modules()]
    if path in paths:
        return None
    return f"{who} has no module '{path}'; {nearest(path, paths[1:])} ('stillhouse taps' lists all)"


class Taps:
    """Hooks on one model for the length of one stage; a context that leaves none behind.

    Args:
        module: the model that is listened to.
        taps: the taps; each must exist (see `tap_problem`).
        who: the name of the role, for messages.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    >>> with Taps(model, ["0", "1:in"], who="student") as taps:
    ...     _ = model(torch.ones(1, 3))
    ...     heard = taps.collect()
    >>> bool((heard["0"] == heard["1:in"]).all()), len(model[0]._forward_hooks)
    (True, 0)
    """

    def __init__(self, module: nn.Module, taps: Iterable[str], *, who: str) -> None:
        self.who = who
        self.taps = tuple(dict.fromkeys(taps))
        self._heard: dict[str, Any] = {}
        self._again: set[str] = set()
        self._kept: dict[str, _Kept] = {}
        self.watching = False  # whether to look for changes in place; costs a compiled graph
        self._handles = [self._listen(module, tap) for tap in self.taps]

    def _listen(self, module: nn.Module, tap: str) -> Any:
        path, suffix = split_tap(tap)
        target = module.get_submodule(path)
        if isinstance(target, torch.jit.ScriptModule):
            raise WiringError(
                self.who,
                [f"it was compiled by torch.jit, which cannot be listened to inside (tap '{tap}'); "
                 "give the network before torch.jit, or take a method of logits alone"],
            )  # fmt: skip
        if suffix == INPUT:
            return target.register_forward_pre_hook(self._input_hook(tap), with_kwargs=True)
        return target.register_forward_hook(self._output_hook(tap))

    # The bodies are plain Python, so that torch.compile traces through them without a break.
    def _input_hook(self, tap: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if tap in self._heard:
                self._again.add(tap)
            self._heard[tap] = args[0] if args else next(iter(kwargs.values()))
            if self.watching:
                self._kept[tap] = _Kept(self._heard[tap])

        return hook

    def _output_hook(self, tap: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
            if tap in self._heard:
                self._again.add(tap)
            self._heard[tap] = output
            if self.watching:
                self._kept[tap] = _Kept(output)

        return hook

    def forget(self) -> None:
        """Drop what was heard, so that a step that failed cannot leak into the next."""
        self._heard.clear()
        self._again.clear()
        self._kept.clear()

    def collect(self) -> dict[str, Tensor]:
        """What was heard since the last call; every tap must have been filled exactly once.

        Raises:
            WiringError: a tapped module did not run, ran several times, returned no tensor, or
                (while `watching`) what it returned was changed in place later on.
        """
        heard = {tap: self._tensor(tap) for tap in self.taps}
        self.forget()
        return heard

    def _tensor(self, tap: str) -> Tensor:
        path, suffix = split_tap(tap)
        if tap not in self._heard:
            raise WiringError(self.who, [f"module '{path}' did not run in this step (tap '{tap}')"])
        if tap in self._again:
            raise WiringError(
                self.who,
                [f"module '{path}' runs several times in one step: tap the module around it"],
            )
        value = self._heard[tap]
        if tap in self._kept and self._kept[tap].changed:
            raise WiringError(
                self.who,
                [f"tap '{tap}' is changed in place after '{path}' (by an in-place activation or "
                 "'+='), so its values would be lost; set inplace=False or tap what changes it"],
            )  # fmt: skip
        if isinstance(value, Tensor) and suffix in ("", INPUT):
            return value
        named = named_outputs(value)
        key = LOGITS if suffix in ("", INPUT) else suffix
        found = layer_output(value) if key == LOGITS else named.get(key)
        if found is None and "." in key:
            found = nested_outputs(value).get(key)
        if found is None:
            known = dict.fromkeys([*named, *nested_outputs(value)])
            there = ", ".join(f"'{path}:{name}'" for name in known)
            said = f"tap '{tap}' finds no tensor '{key}' in what '{path or self.who}' gives"
            if isinstance(value, tuple | list) and key.isdigit() and int(key) < len(value):
                said += " (it is None there: of attention, transformers give what tokens look at "
                said += "with arguments: {attn_implementation: eager} alone)"
            raise WiringError(self.who, [f"{said}; choose one of {there}"])
        return found

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.forget()

    def __enter__(self) -> "Taps":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Kept:
    """The tensors that a tap heard, as they were: to see whether they are changed in place."""

    def __init__(self, value: Any) -> None:
        self._values = [(each, each.detach().clone()) for each in nested_outputs(value).values()]
        self._versions = [_version(each) for each, _ in self._values]

    @property
    def changed(self) -> bool:
        """Whether one of them is another one now, by autograd's count or by its values."""
        return [_version(each) for each, _ in self._values] != self._versions or any(
            not torch.equal(each.nan_to_num(), before.nan_to_num()) for each, before in self._values
        )


def _version(value: Tensor) -> int:
    """How often it was changed in place; what was made in inference mode is not counted."""
    return 0 if value.is_inference() else value._version
