"""Bridge: a module or a formula that derives one signal from others."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Size, Tensor, nn

from stillhouse.engine.nodes.node import Node, in_precision
from stillhouse.engine.signals import Signals, as_names
from stillhouse.errors import WiringError
from stillhouse.functional.filling import TOKENS, by_length, by_position, kept_places
from stillhouse.functional.numerics import full, without_autocast


class Bridge(Node):
    """A module that derives one signal, named like the node: projector, shared head, mixture.

    Args:
        name: the node and its signal.
        module: a module, or a function of tensors; either takes the reads in order. A function is
            a formula: under autocast it gets float32 and computes in it, as a term does.
        reads: its inputs.

    >>> import torch
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
        self.mask: str | None = None
        """Signal of what is filling, where its inputs are maps of sentences."""

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
            self._call = self._build(*(self._shape(signals, name) for name in self._sized_by))
            if self.module is not None:
                self.module.to(signals[self._sized_by[0]].device)

    def _shape(self, signals: Mapping[str, Tensor], name: str) -> Size:
        """That of a signal; of a map of sentences that of a single position."""
        shape = signals[name].shape
        if self.mask is None or kept_places(signals[name], signals[self.mask]) is None:
            return shape
        return Size([shape[0], shape[2] if len(shape) == TOKENS else shape[1], 1, 1])

    def _given(self, inputs: Sequence[Tensor], signals: Mapping[str, Tensor]) -> Tensor:
        """What it makes of its inputs: where they are filled up, of what is no filling."""
        call = self._call
        if call is None:
            raise WiringError(f"bridge '{self.name}'", ["it was not sized yet; check the stage"])
        if self.mask is None:
            return call(*inputs)
        return (by_position if self._sized_by else by_length)(call, inputs, signals[self.mask])

    def problem(self, part: str) -> str | None:
        """A bridge gives one signal, its own name."""
        if not part:
            return None
        return f"'{self.name}' is a bridge and gives one signal, '{self.name}', not '{part}'"

    def run(self, signals: Mapping[str, Tensor]) -> Signals:
        """Derive the signal."""
        given = [signals[name] for name in self.reads]
        if self.module is not None:
            first = next((p for p in self.module.parameters() if p.is_floating_point()), None)
            inputs, outer = in_precision(None if first is None else first.dtype, given)
            if outer is None:
                return {self.name: self._given(inputs, signals)}
            with without_autocast(given[0].device):  # such as the head of a teacher in half
                return {self.name: self._given(inputs, signals).to(outer)}
        with without_autocast(given[0].device):
            return {self.name: self._given([full(x) for x in given], signals)}
