"""Terms: ``weight * mean(loss(first, *rest))``. The first signal learns, the rest are targets."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.signals import CONTENT, as_names
from stillhouse.errors import WiringError
from stillhouse.functional.filling import by_length, by_position
from stillhouse.functional.frames import by_image, by_shown


@dataclass(frozen=True)
class OverTraining:
    """A weight that follows the share of the training that is done, whatever its length.

    Args:
        at: from a share in 0..1 to a weight.

    >>> grow = OverTraining(lambda share: 0.8 * share)
    >>> Term("t", torch.add, "a", weight=grow).weight_at(epoch=5.0, epochs=20.0)
    0.2
    """

    at: Callable[[float], float]


Weight = float | Callable[[float], float] | OverTraining


def ramp(weight: float, *, epochs: float) -> Callable[[float], float]:
    """A weight that grows linearly from 0 to its value over the first epochs.

    ``w(e) = weight * min(e / epochs, 1)``; DKD and ReviewKD warm up in this way over 20 epochs.

    >>> grow = ramp(8.0, epochs=20)
    >>> grow(5.0), grow(40.0)
    (2.0, 8.0)
    """

    def at(epoch: float) -> float:
        return weight * min(epoch / epochs, 1.0) if epochs > 0 else weight

    return at


class Term:
    """One loss on named signals.

    Args:
        name: how metrics and messages call it.
        loss: a function of tensors that gives [B] (or a scalar), or a module of that form.
        reads: its signals, learner first.
        weight: a number, a function of the epoch (fractional), such as `ramp`, or `OverTraining`.
        through: True lets gradients flow into all signals, not only the first.
        options: keyword arguments of the loss.
        bound: True where the weight means something only together with others, as a share of a
            mixture does, or where the gradient at the start says nothing; `balanced` leaves it
            alone.
        mixes: True where a row with two labels, lam of one and 1 - lam of the other, has lam of its
            value for one and 1 - lam of that for the other: what is linear in the label, such as
            cross-entropy, whatever its target is made of.
        framed: True of a loss of maps that takes, behind its other signals, how much of its frame
            each image is, [B, 2]: it reads ``batch.content`` where the batch has it, so that
            filling around images counts for nothing.
        cropped: True of a loss of maps of one size that knows nothing of frames: where the batch
            has ``batch.content``, the term reads it too, and its loss is given of each map the part
            that shows the image; a pooled one all such positions of the batch.
        pooled: True of a loss that is one value over all positions of a batch, such as Pearson's of
            each channel: it is given those that are no filling, as [N, C, 1, 1].

    >>> term = Term("gap", lambda s, t: (s - t) ** 2, ["a.x", "b.x"], weight=2.0)
    >>> a = torch.tensor([3.0], requires_grad=True); b = torch.tensor([1.0], requires_grad=True)
    >>> term.value({"a.x": a, "b.x": b}).backward()
    >>> a.grad.item(), b.grad
    (4.0, None)
    """

    def __init__(
        self,
        name: str,
        loss: Callable[..., Tensor],
        reads: str | Iterable[str],
        *,
        weight: Weight = 1.0,
        through: bool = False,
        options: Mapping[str, Any] | None = None,
        bound: bool = False,
        mixes: bool = False,
        pooled: bool = False,
        framed: bool = False,
        cropped: bool = False,
    ) -> None:
        self.name = name
        self.loss = loss
        self.reads = as_names(reads)
        self.weight = weight
        self.through = through
        self.options = dict(options or {})
        self.bound = bound
        self.mixes = mixes
        self.pooled = pooled
        self.framed = framed
        self.cropped = cropped
        self.mask: str | None = None
        """Signal of what is filling, where its signals are maps of sentences."""
        self._build: Callable[..., nn.Module] | None = None
        self.by_task = False

    @classmethod
    def labelled(
        cls, name: str, reads: str | Iterable[str], *, weight: Weight = 1.0, bound: bool = False
    ) -> "Term":
        """The term of the labels, whose loss is that of the stage's task (`Task.loss`).

        Args:
            name, weight, bound: as of any term.
            reads: what a network says, and the label.

        >>> Term.labelled("label", ["student.logits", "batch.label"], weight=0.1).by_task
        True
        """
        term = cls(name, _without_task(name), reads, weight=weight, bound=bound)
        term.by_task = True
        return term

    def with_loss(self, loss: Callable[..., Tensor], *, mixes: bool = False) -> "Term":
        """The same term with another loss."""
        term = copy.copy(self)
        term.loss, term.by_task, term.mixes = loss, False, mixes
        return term

    @classmethod
    def sized(
        cls,
        name: str,
        build: Callable[..., nn.Module],
        reads: str | Iterable[str],
        *,
        weight: Weight = 1.0,
        framed: bool = False,
        cropped: bool = False,
    ) -> "Term":
        """A term whose loss is built from the shapes of its signals, once, from the first batch.

        Args:
            name, reads, weight, framed, cropped: as of any term.
            build: takes one ``torch.Size`` per signal, gives the loss as a module.

        >>> term = Term.sized("gap", lambda s, t: nn.Bilinear(s[1], t[1], 1), ["a.x", "b.x"])
        >>> term.build({"a.x": torch.ones(2, 3), "b.x": torch.ones(2, 4)})
        >>> term.module
        Bilinear(in1_features=3, in2_features=4, out_features=1, bias=True)
        """
        term = cls(name, _unsized(name), reads, weight=weight, framed=framed, cropped=cropped)
        term._build = build
        return term

    def build(self, signals: Mapping[str, Tensor]) -> None:
        """Build the loss of a sized term, if it is not there yet."""
        if self._build is not None:
            maps = [name for name in self.reads if not (self.cropped and name == CONTENT)]
            loss = self._build(*(signals[name].shape for name in maps))
            self.loss, self._build = loss.to(signals[self.reads[0]].device), None

    @property
    def module(self) -> nn.Module | None:
        """The loss, when it is a module (its parameters learn, its memory is kept)."""
        return self.loss if isinstance(self.loss, nn.Module) else None

    def weight_at(self, epoch: float, epochs: float = 1.0) -> float:
        """The weight at a fractional epoch of so many."""
        if isinstance(self.weight, OverTraining):
            return float(self.weight.at(min(epoch / epochs, 1.0)))
        return float(self.weight(epoch)) if callable(self.weight) else float(self.weight)

    def value(self, signals: Mapping[str, Tensor]) -> Tensor:
        """The unweighted mean over the batch, a scalar."""
        first, *rest = (signals[name] for name in self.reads)
        targets = rest if self.through else [target.detach() for target in rest]
        if self.mask is not None:
            loss = partial(self.loss, **self.options)
            cut = by_position if self.pooled else by_length
            return torch.mean(cut(loss, (first, *targets), signals[self.mask]))
        if self.cropped and self.reads[-1] == CONTENT:
            *maps, content = targets
            loss = partial(self.loss, **self.options)
            part = by_shown if self.pooled else by_image
            return torch.mean(part(loss, (first, *maps), content))
        return torch.mean(self.loss(first, *targets, **self.options))


def _without_task(name: str) -> Callable[..., Tensor]:
    def loss(*_: Tensor) -> Tensor:
        said = "its loss is that of a task; open the stage, which has one"
        raise WiringError(f"term '{name}'", [said])

    return loss


def _unsized(name: str) -> Callable[..., Tensor]:
    def loss(*_: Tensor) -> Tensor:
        raise WiringError(f"term '{name}'", ["it was not sized yet; check the stage"])

    return loss
