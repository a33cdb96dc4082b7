"""Nodes: what reads signals and returns signals. Four kinds and no more.

Role: a model with taps. Bridge: a module that derives one signal. Replay (in `cache`): a cached
role. Ema: a role that follows another one. A node never knows a method or a loss.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from stillhouse.engine.heads import find_head, pooled
from stillhouse.engine.maps import MapLayout
from stillhouse.engine.signals import EMBEDDING, LOGITS, Signals, as_names, shape_text
from stillhouse.engine.taps import AS_MAP, Taps, tap_problem
from stillhouse.errors import ModelError, WiringError
from stillhouse.functional.numerics import full, without_autocast
from stillhouse.models.given import copied, distinct_tensors, unwrapped
from stillhouse.models.outputs import named_outputs, output_problem


class Node(ABC):
    """Reads signals, returns signals under its own name."""

    cached = False  # whether it knows training rows only, so that validation cannot read it

    def __init__(self, name: str, reads: str | Iterable[str]) -> None:
        if not name.isidentifier():
            raise WiringError(f"node '{name}'", ["a node's name is a word without dots or spaces"])
        self.name = name
        self.reads = as_names(reads)

    @property
    def needs(self) -> tuple[str, ...]:
        """All signals that must exist before this node runs."""
        return self.reads

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name

    @property
    def module(self) -> nn.Module | None:
        """The module whose parameters this node trains, if any."""
        return None

    @abstractmethod
    def problem(self, part: str) -> str | None:
        """Why this node cannot give a part; None when it can, or when only a run can tell."""

    def open(self, parts: Collection[str]) -> None:  # noqa: B027  (most nodes have nothing to open)
        """Make ready to give these parts until `close`."""

    def close(self) -> None:  # noqa: B027
        """Leave nothing behind."""

    @abstractmethod
    def run(self, signals: Mapping[str, Tensor]) -> Signals:
        """Signals under full names, from the signals that it reads."""


def in_precision(
    own: torch.dtype | None, given: Sequence[Tensor]
) -> tuple[list[Tensor], torch.dtype | None]:
    """The inputs in a module's own precision; and theirs, where it is another one.

    What is in float32 takes its inputs as they are: autocast is about such modules.
    """
    floating = [value.dtype for value in given if value.is_floating_point()]
    if own in (None, torch.float32) or all(dtype == own for dtype in floating):
        return list(given), None
    return [value.to(own) if value.is_floating_point() else value for value in given], floating[0]


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
        reads: its inputs, in order.
        head: path of the module that gives the logits; found when not named (`find_head`).
        aliases: other names for taps, such as ``{"hint": "layer2.1"}``.
        frozen: paths of submodules that keep their bits while the rest learns, such as a classifier
            that was taken over; they are in eval mode and no optimiser (so no weight decay) sees
            them.
        output: which output of several is the logits, by name or position; not needed where one of
            them is called ``logits``, or there is one only.

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
        reads: str | Iterable[str] = "batch.image",
        head: str | None = None,
        aliases: Mapping[str, str] | None = None,
        frozen: str | Iterable[str] = (),
        output: str | int | None = None,
    ) -> None:
        super().__init__(name, reads)
        self._module = unwrapped(module, who=name)
        self._head = head
        self.aliases = dict(aliases or {})
        self.frozen = as_names(frozen)
        self.output = output
        self._asked: frozenset[str] = frozenset()
        self._taps: Taps | None = None
        self._taps_of: dict[str, str] = {}
        self._maps: tuple[str, ...] = ()
        self._layout: MapLayout | None = None
        self.known_as = name
        self._first = next((p for p in self._module.parameters() if p.is_floating_point()), None)

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
        """The head itself. Raises ModelError when it was named and is not there."""
        problem = tap_problem(self._module, self.head, who=self.title)
        if problem:
            raise ModelError(f"head: {problem}")
        return self._module.get_submodule(self.head)

    def frozen_parts(self) -> list[nn.Module]:
        """The submodules that keep their bits. Raises ModelError when one is not there."""
        for path in self.frozen:
            problem = tap_problem(self._module, path, who=self.title)
            if problem:
                raise ModelError(f"frozen: {problem}")
        return [self._module.get_submodule(path) for path in self.frozen]

    def tap_of(self, part: str) -> str | None:
        """The tap behind a part; None for the model's own outputs."""
        if part == EMBEDDING and EMBEDDING not in self.aliases:
            return f"{self.head}:in"
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
        if part == LOGITS and LOGITS not in self.aliases:
            return None
        if part == EMBEDDING and EMBEDDING not in self.aliases:
            problem = tap_problem(self._module, self.head, who=self.title)
            return f"head: {problem}" if problem else None
        if self.tap_of(part) is not None:
            return None
        return tap_problem(self._module, self.aliases.get(part, part), who=self.title)

    def open(self, parts: Collection[str]) -> None:
        """Register the hooks for these parts."""
        self.close()
        self._asked = frozenset(parts)
        taps = {part: self.tap_of(part) for part in parts}
        named = {part: tap for part, tap in taps.items() if tap is not None}
        self._taps_of = {part: tap.removesuffix(AS_MAP) for part, tap in named.items()}
        self._taps = Taps(self._module, self._taps_of.values(), who=self.title)
        self._maps = tuple(part for part, tap in named.items() if tap.endswith(AS_MAP))
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
    def _needs_logits(self) -> bool:
        return LOGITS in self._asked and LOGITS not in self.aliases

    def run(self, signals: Mapping[str, Tensor]) -> Signals:
        """Run the model once and give its outputs and taps.

        Raises:
            WiringError: the logits are read and no output is them (`logits_among`), or what a tap
                listens to gave nothing.
        """
        if self._taps is not None:
            self._taps.forget()
        given_in = [signals[name] for name in self.reads]
        inputs, outer = in_precision(None if self._first is None else self._first.dtype, given_in)
        alone = nullcontext() if outer is None else without_autocast(inputs[0].device)
        with alone:
            output = self._module(*inputs)
        named = named_outputs(output, self.output)
        if LOGITS not in named and (self.output is not None or self._needs_logits):
            raise WiringError(self.title, [output_problem(output, self.output)])
        given = {key if key == LOGITS else f":{key}": value for key, value in named.items()}
        if self._taps is not None:
            heard = self._taps.collect()
            given.update({part: heard[tap] for part, tap in self._taps_of.items()})
            image = signals[self.reads[0]].shape
            for part in self._maps:
                given[part] = self._as_map(part, given[part], image)
            if EMBEDDING in self._taps_of and EMBEDDING not in self.aliases:
                given[EMBEDDING] = pooled(given[EMBEDDING])
        if outer is not None:
            given = {
                part: value.to(outer) if value.is_floating_point() else value
                for part, value in given.items()
            }
        return {f"{self.name}.{part}": value for part, value in given.items()}

    def _as_map(self, part: str, value: Tensor, image: torch.Size) -> Tensor:
        found = None if self._layout is None else self._layout.read(value, image)
        if found is None:
            said = f"tap '{self._taps_of[part]}' gives {shape_text(value)}"
            raise WiringError(
                self.name, [f"{said}, which is no map of images {list(image)[1:]}; tap another"]
            )
        return found


class Ema(Role):
    """A role whose weights follow another role: ``w <- decay * w + (1 - decay) * w_of``.

    Floating-point buffers follow in the same way, others are copied. It never learns by itself.

    Args:
        name: how signals call it.
        of: the role that it follows.
        decay: what it keeps of itself at each step, in 0..1; 0 makes it a copy, a snapshot.
        every: epochs between its steps.
        parts: instead of it, a number of equal parts of the training; it steps at the end of each,
            whatever the budget. With neither it follows at each optimiser step.

    Paper: Tarvainen & Valpola, "Mean teachers are better role models", arXiv 1703.01780.

    >>> of = Role("student", nn.Linear(1, 1, bias=False))
    >>> ema = Ema("mean", of, decay=0.9)
    >>> with torch.no_grad():
    ...     _ = of.module.weight.add_(1.0)
    >>> ema.follow()
    >>> round((of.module.weight - ema.module.weight).item(), 4)
    0.9
    """

    def __init__(
        self,
        name: str,
        of: Role,
        *,
        decay: float = 0.999,
        every: int | None = None,
        parts: int | None = None,
    ) -> None:
        where = f"node '{name}'"
        if not 0.0 <= decay <= 1.0:
            raise WiringError(where, [f"decay must be in 0..1, not {decay}"])
        if every is not None and every < 1:
            raise WiringError(where, [f"every must be at least 1 epoch, not {every}"])
        if parts is not None and parts < 1:
            raise WiringError(where, [f"parts must be at least 1, not {parts}"])
        if every is not None and parts is not None:
            raise WiringError(where, ["every and parts say the same in two ways; give one"])
        super().__init__(
            name,
            copied(of.module, who=of.title),
            reads=of.reads,
            head=of._head,
            aliases=of.aliases,
            output=of.output,
        )
        self.of = of
        self.decay = decay
        self.every = every
        self.parts = parts

    @property
    def follows_training(self) -> bool:
        """Whether when it steps depends on how much of the training is done."""
        return self.every is not None or self.parts is not None

    def due(self, before: float, now: float, epochs: float) -> bool:
        """Whether it steps where the share of the training that is done goes from one to another.

        One step of the optimiser lies between the two, so their difference tells how many steps
        there are in all; parts are as long as whole steps allow, ``ceil(steps / parts)``, as are
        the cycles of `cosine_restarts`.

        >>> ema = Ema("snapshot", Role("student", nn.Linear(1, 1)), decay=0.0, parts=4)
        >>> ema.due(0.1, 0.2, epochs=8.0), ema.due(0.2, 0.3, epochs=8.0)
        (False, True)
        """
        if not self.follows_training:
            return True
        if now <= before:
            return False
        steps = round(1.0 / (now - before))
        length = steps * self.every / epochs if self.every else math.ceil(steps / (self.parts or 1))
        return math.floor(round(now * steps) / length) > math.floor(round(before * steps) / length)

    @torch.no_grad()
    def follow(self) -> None:
        """Take one step towards the followed role."""
        theirs = distinct_tensors(self.of.module)
        for key, value in distinct_tensors(self.module).items():  # what is tied moves once
            target = theirs[key].to(value)
            if not value.is_floating_point():
                value.copy_(target)
            elif isinstance(value, nn.Parameter):
                value.lerp_(target, 1.0 - self.decay)
            else:  # a mask of -inf has no mean with itself
                mean = value.lerp(target, 1.0 - self.decay)
                value.copy_(torch.where(torch.isfinite(target), mean, target))


class Bridge(Node):
    """A module that derives one signal, named like the node: projector, shared head, mixture.

    Args:
        name: the node and its signal.
        module: a module, or a function of tensors; either takes the reads in order. A function is
            a formula: under autocast it gets float32 and computes in it, as a term does.
        reads: its inputs.

    >>> double = Bridge("double", lambda x: 2 * x, "batch.image")
    >>> double.run({"batch.image": torch.tensor(3.0)})
    {'double': tensor(6.)}
    """

    def __init__(
        self, name: str, module: Callable[..., Tensor] | None, reads: str | Iterable[str]
    ) -> None:
        super().__init__(name, reads)
        self._call = module
        self._build: Callable[..., Callable[..., Tensor]] | None = None
        self._sized_by: tuple[str, ...] = ()

    @classmethod
    def sized(
        cls,
        name: str,
        build: Callable[..., Callable[..., Tensor]],
        reads: str | Iterable[str],
        *,
        by: str | Iterable[str],
    ) -> "Bridge":
        """A bridge whose module is built from the shapes of signals, once, from the first batch.

        Args:
            name: the node and its signal.
            build: takes one ``torch.Size`` per name in ``by``, gives the module.
            reads: its inputs when it runs.
            by: the signals whose shapes size it.

        >>> bridge = Bridge.sized("p", lambda s, t: nn.Linear(s[1], t[1]), "a.x", by=["a.x", "b.x"])
        >>> bridge.needs
        ('a.x', 'b.x')
        """
        bridge = cls(name, None, reads)
        bridge._build = build
        bridge._sized_by = as_names(by)
        return bridge

    @property
    def needs(self) -> tuple[str, ...]:
        """Its reads and, until it is built, the signals that size it."""
        if self._call is not None:
            return self.reads
        return tuple(dict.fromkeys((*self.reads, *self._sized_by)))

    @property
    def module(self) -> nn.Module | None:
        """Its module, once built; None for a plain function."""
        return self._call if isinstance(self._call, nn.Module) else None

    def build(self, signals: Mapping[str, Tensor]) -> None:
        """Build the module, if it is not there yet."""
        if self._call is None and self._build is not None:
            self._call = self._build(*(signals[name].shape for name in self._sized_by))
            if self.module is not None:
                self.module.to(signals[self._sized_by[0]].device)

    def problem(self, part: str) -> str | None:
        """A bridge gives one signal, its own name."""
        if not part:
            return None
        return f"'{self.name}' is a bridge and gives one signal, '{self.name}', not '{part}'"

    def run(self, signals: Mapping[str, Tensor]) -> Signals:
        """Derive the signal."""
        if self._call is None:
            raise WiringError(f"bridge '{self.name}'", ["it was not sized yet; check the stage"])
        given = [signals[name] for name in self.reads]
        if self.module is not None:
            first = next((p for p in self.module.parameters() if p.is_floating_point()), None)
            inputs, outer = in_precision(None if first is None else first.dtype, given)
            if outer is None:
                return {self.name: self._call(*inputs)}
            with without_autocast(given[0].device):  # such as the head of a teacher in half
                return {self.name: self._call(*inputs).to(outer)}
        with without_autocast(given[0].device):
            return {self.name: self._call(*map(full, given))}
