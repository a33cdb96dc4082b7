"""Role: a model with taps, such as the student, the teacher or a peer."""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch
from torch import Tensor, nn

from stillhouse.engine.frozen import FrozenParts, frozen_parts
from stillhouse.engine.heads import find_head, pooled, without_head
from stillhouse.engine.maps import MapLayout
from stillhouse.engine.nodes.node import Node, in_precision
from stillhouse.engine.signals import EMBEDDING, LOGITS, Signals, as_names, part, shape_text
from stillhouse.engine.taps import AS_MAP, POOLED, Taps, tap_problem
from stillhouse.errors import ModelError, WiringError
from stillhouse.functional.filling import mean_of_tokens, without_filling
from stillhouse.functional.numerics import without_autocast
from stillhouse.models.calling import by_name, call
from stillhouse.models.detectors.adapter import WITHOUT, is_detector
from stillhouse.models.given import unwrapped
from stillhouse.models.outputs import named_outputs, output_problem

MASK = "attention_mask"
_CENTRES = "give it a classifier of its own embeddings (teacher: {centres: true} in a recipe)"
_EMBEDS = "returns its embedding and has no classes (head: none)"


class Role(Node):
    """A model with taps: ``student``, ``teacher``, a peer, a critic.

    Gives ``name.logits`` (what the model returns, see ``output``), ``name.embedding`` (what its
    head reads; of a convolution the mean over positions), any tap (``name.layer3``,
    ``name.fc:in``) and, of a model that returns several tensors, each one under its key
    (``name.:hidden``, ``name.:1``).

    A network in another precision than its images (half, bfloat16, float64) gets them in its own,
    and its signals are in theirs; autocast
    leaves it alone.

    Args:
        name: how signals call it.
        module: any ``nn.Module``; never edited, only listened to. One inside `torch.compile` or a
            data-parallel wrapper is taken out of it (see `unwrapped`).
        reads: its inputs, in order. Of several each is given under the name of its signal where
            ``forward`` has such a parameter (``batch.attention_mask``: ``attention_mask=``), the
            rest by their place; a mapping says the parameter of each:
            ``{"input_ids": "batch.teacher_input_ids"}``.
        head: path of the module that gives the logits; found when not named (`find_head`).
            ``none``: there is none, and what the model returns is its embedding.
        aliases: other names for taps, such as ``{"hint": "layer2.1"}``.
        frozen: paths (or patterns of paths) of submodules and parameters that keep their bits while
            the rest learns, such as a classifier that was taken over; such submodules are in eval
            mode and no optimiser (so no weight decay) sees them.
        output: which output of several is the logits, by name or position; not needed where one of
            them is called ``logits``, or there is one only.

    >>> import torch
    >>> role = Role("student", nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    >>> role.open(["logits", "embedding"])
    >>> out = role.run({"batch.image": torch.ones(3, 1, 2, 2)})
    >>> role.close()
    >>> {name: tuple(value.shape) for name, value in sorted(out.items())}
    {'student.embedding': (3, 4), 'student.logits': (3, 2)}
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        *,
        reads: str | Iterable[str] | Mapping[str, str] = "batch.image",
        head: str | None = None,
        aliases: Mapping[str, str] | None = None,
        frozen: str | Iterable[str] = (),
        output: str | int | None = None,
    ) -> None:
        super().__init__(name, reads.values() if isinstance(reads, Mapping) else reads)
        self.parameters = _parameters(reads, self.reads)
        """What each input is called in ``forward``."""
        self._module = unwrapped(module, who=name)
        self._head = head
        self.aliases = dict(aliases or {})
        self.frozen = as_names(frozen)
        self.output = output
        self.lr_scales: Mapping[nn.Parameter, float] = {}
        """Of parameters that learn at a share of the rate (see `Stage.slowed`)."""
        self.apart = False
        """Whether a training step applies its head elsewhere, so that here it sees no row."""
        self._embeds: tuple[str | None, bool] | None = None
        self._named: tuple[bool, ...] | None = None
        self._asked: frozenset[str] = frozenset()
        self._taps: Taps | None = None
        self._taps_of: dict[str, str] = {}
        self._maps: tuple[str, ...] = ()
        self._pooled: tuple[str, ...] = ()
        self._layout: MapLayout | None = None
        self.known_as = name
        self._first = next((p for p in self._module.parameters() if p.is_floating_point()), None)

    def reading(self, reads: str | Iterable[str] | Mapping[str, str]) -> Self:
        """The same role with other inputs.

        >>> Role("student", nn.Linear(2, 2)).reading({"x": "batch.own"}).reads
        ('batch.own',)
        """
        changed = copy.copy(self)
        changed.reads = as_names(reads.values() if isinstance(reads, Mapping) else reads)
        changed.parameters = _parameters(reads, changed.reads)
        changed._named = None
        return changed

    def call(self, inputs: Sequence[Tensor]) -> Any:
        """What the model returns for its inputs, in the order of `reads`."""
        if self._named is None:
            self._named = by_name(self._module, self.parameters)
        return call(self._module, self.parameters, inputs, self._named)

    @property
    def mask(self) -> str | None:
        """The signal that says which positions of a row are no filling, where it reads one."""
        named = zip(self.parameters, self.reads, strict=True)
        return next((signal for name, signal in named if name == MASK), None)

    @property
    def title(self) -> str:
        """What the user knows it as: a teacher that is trained learns under the name 'student'."""
        return self.known_as

    @property
    def module(self) -> nn.Module:
        """The model."""
        return self._module

    @property
    def head(self) -> str:
        """Path of the module that gives the logits. Raises ModelError when there is none."""
        if self._head is None:
            self._head = find_head(self._module, who=self.title)
        return self._head

    def head_module(self) -> nn.Module:
        """The head itself. Raises ModelError when it was named and is not there, or has none."""
        if self.embeds:
            raise ModelError(
                f"{self.title} {_EMBEDS}, so it has no classifier to share; {_CENTRES}"
            )
        problem = tap_problem(self._module, self.head, who=self.title)
        if problem:
            raise ModelError(f"head: {problem}")
        return self._module.get_submodule(self.head)

    @property
    def embeds(self) -> bool:
        """Whether it has no classifier: what it returns is its embedding."""
        if self._embeds is None or self._embeds[0] != self._head:
            self._embeds = (self._head, without_head(self._module, self._head))
        return self._embeds[1]

    def frozen_parts(self) -> FrozenParts:
        """What keeps its bits. Raises ModelError when it is not there."""
        return frozen_parts(self._module, self.frozen, who=self.title)

    def tap_of(self, part: str) -> str | None:
        """The tap behind a part; None for the model's own outputs."""
        if part == EMBEDDING and EMBEDDING not in self.aliases:
            return None if self.embeds else f"{self.head}:in"
        if part == LOGITS and LOGITS not in self.aliases:
            return None  # a module of that name need not be what the model returns
        tap = self.aliases.get(part, part)
        return None if tap_problem(self._module, tap, who=self.title) else tap

    def problem(self, part: str) -> str | None:
        """Say why a tap cannot be."""
        if not part:
            return (
                f"'{self.title}' is a role; say which signal of it, such as '{self.name}.{LOGITS}'"
            )
        if part in (LOGITS, EMBEDDING) and part not in self.aliases and is_detector(self._module):
            return f"'{self.name}.{part}' is asked for, and {self.title} is {WITHOUT}"
        if part == LOGITS and LOGITS not in self.aliases:
            if self.embeds:
                said = f"{self.title} {_EMBEDS}, and '{self.name}.{LOGITS}' are asked for"
                return f"{said}; take a method of embeddings or maps, or {_CENTRES}"
            return None
        if part == EMBEDDING and EMBEDDING not in self.aliases:
            if self.embeds:
                return None
            problem = tap_problem(self._module, self.head, who=self.title)
            return f"head: {problem}" if problem else None
        if self.tap_of(part) is not None:
            return None
        return tap_problem(self._module, self.aliases.get(part, part), who=self.title)

    def open(self, parts: Collection[str]) -> None:
        """Register the hooks for these parts."""
        self.close()
        self._named = by_name(self._module, self.parameters)
        self._asked = frozenset(parts)
        taps = {part: self.tap_of(part) for part in parts}
        named = {part: tap for part, tap in taps.items() if tap is not None}
        self._taps_of = {
            part: tap.removesuffix(AS_MAP).removesuffix(POOLED) for part, tap in named.items()
        }
        self._taps = Taps(self._module, self._taps_of.values(), who=self.title)
        self._maps = tuple(part for part, tap in named.items() if tap.endswith(AS_MAP))
        self._pooled = tuple(part for part, tap in named.items() if tap.endswith(POOLED))
        self._layout = MapLayout.of(self._module) if self._maps else None

    def watch(self) -> None:
        """From now until `close`, refuse taps whose values are changed in place."""
        if self._taps is not None:
            self._taps.watching = True

    def close(self) -> None:
        """Remove the hooks."""
        if self._taps is not None:
            self._taps.close()
        self._taps = None

    @property
    def _needs_output(self) -> bool:
        """Whether what it returns is read, and not only what its parts give."""
        asked = EMBEDDING if self.embeds else LOGITS
        return asked in self._asked and asked not in self.aliases

    def run(self, signals: Mapping[str, Tensor]) -> Signals:
        """Run the model once and give its outputs and taps.

        Raises:
            WiringError: the logits are read and no output is them (`logits_among`), or what a tap
                listens to gave nothing.
        """
        if self._taps is not None:
            self._taps.forget()
        # Copies: a network may change its input in place (a normalisation, a first ReLU), and
        # others read the same image after it.
        given_in = [signals[name].clone() for name in self.reads]
        inputs, outer = in_precision(None if self._first is None else self._first.dtype, given_in)
        alone = nullcontext() if outer is None else without_autocast(inputs[0].device)
        with alone:
            output = self.call(inputs)
        named = named_outputs(output, self.output)
        if LOGITS not in named and (self.output is not None or self._needs_output):
            raise WiringError(self.title, [output_problem(output, self.output)])
        given = {key if key == LOGITS else f":{key}": value for key, value in named.items()}
        if self.embeds and LOGITS in given:
            given[EMBEDDING] = given.pop(LOGITS)
        if self._taps is not None:
            heard = self._taps.collect()
            given.update({part: heard[tap] for part, tap in self._taps_of.items()})
            read = signals[self.reads[0]]
            for part in self._maps:
                given[part] = self._as_map(part, given[part], read)
            mask = None if self.mask is None else signals[self.mask]
            for part in self._pooled:
                every = torch.ones(given[part].shape[:2], device=given[part].device)
                given[part] = mean_of_tokens(given[part], every if mask is None else mask)
            if mask is not None and mask.ndim == 2:
                for part in (each for each in self._taps_of if each != EMBEDDING):
                    given[part] = without_filling(given[part], mask)
        if EMBEDDING in given and EMBEDDING not in self.aliases:
            given[EMBEDDING] = pooled(given[EMBEDDING])
        if outer is not None:
            given = {
                part: value.to(outer) if value.is_floating_point() else value
                for part, value in given.items()
            }
        return {f"{self.name}.{part}": value for part, value in given.items()}

    def step(self, signals: Mapping[str, Tensor]) -> Signals:
        """`run`; without the logits where its head is applied elsewhere (see `apart`)."""
        if not self.apart:
            return self.run(signals)
        # Behind the hook of the tap, which hears all that the head would have read.
        hook = self.head_module().register_forward_pre_hook(_of_no_position)
        try:
            given = self.run(signals)
        finally:
            hook.remove()
        return {name: x for name, x in given.items() if name != f"{self.name}.{LOGITS}"}

    def _as_map(self, part: str, value: Tensor, read: Tensor) -> Tensor:
        if read.ndim != 4:  # no image: tokens lie in one row, and none of them is left out
            return value.mT[:, :, None] if value.ndim == 3 else value
        image = read.shape
        found = None if self._layout is None else self._layout.read(value, image)
        if found is None:
            said = f"tap '{self._taps_of[part]}' gives {shape_text(value)}"
            raise WiringError(
                self.name, [f"{said}, which is no map of images {list(image)[1:]}; tap another"]
            )
        return found


def _of_no_position(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a head reads of [B, L, D], cut to no position: [B, 0, D]."""
    return (given[0][:, :0], *given[1:])


def _parameters(
    reads: str | Iterable[str] | Mapping[str, str], signals: Sequence[str]
) -> tuple[str, ...]:
    """What each input is called in ``forward``: as the mapping says, else as its signal."""
    return tuple(reads) if isinstance(reads, Mapping) else tuple(map(part, signals))
