"""One update of an opened stage as a module: from a batch to the terms of one optimiser."""

from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stillhouse.engine.composite import Composite, run_outside
from stillhouse.engine.facts import batch_signals, lacking
from stillhouse.engine.failures import one_row_problem
from stillhouse.engine.flags import Frozen, LearningParameters
from stillhouse.engine.signals import BATCH, Signals, owner
from stillhouse.engine.terms import OverTraining, Term
from stillhouse.engine.wiring import UpdatePlan
from stillhouse.errors import WiringError


class StepSignals:
    """The signals of a step, out of sight of whoever walks through an output.

    Data-parallel training looks for the tensors of an output to learn which parameters had a part
    in the loss; a signal that no term reads would mislead it.
    """

    def __init__(self, by_name: Signals) -> None:
        self.by_name = by_name


class Output(NamedTuple):
    """What an update gives in a step.

    ``loss`` is the scalar to go backward from. The properties `terms` (the unweighted mean of each
    term), `weights` and `signals` (all named tensors of this step) are made when asked for.
    """

    loss: Tensor
    values: Tensor
    scale: Tensor
    names: tuple[str, ...]
    known: StepSignals

    @property
    def terms(self) -> dict[str, Tensor]:
        """The unweighted mean of each term, scalars."""
        return dict(zip(self.names, self.values.unbind(), strict=True))

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weight that each term had in this step, scalars."""
        return dict(zip(self.names, self.scale.unbind(), strict=True))

    @property
    def signals(self) -> Signals:
        """The named tensors of this step: ``student.logits``, ``teacher.layer3``, ..."""
        return self.known.by_name


class UpdateObjective(nn.Module):
    """The loss of one update, a module of what it trains. Made by `Objective`.

    Args:
        plan: the update and the nodes it runs.
        frozen: what stays in eval mode.
        learning: of several updates, which parameters collect gradients; None: there is one.
        learnt: ids of the parameters that learn in this stage.
        autocast: of the networks.

    ``live_reads`` are the signals that its frozen nodes read where they run in each step.
    """

    def __init__(
        self,
        plan: UpdatePlan,
        frozen: Frozen,
        learning: LearningParameters | None,
        learnt: Set[int],
        autocast: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.is_open = True
        self._learnt = learnt
        self.composite = Composite(plan, autocast)
        self.plan = plan
        self.names = tuple(term.name for term in plan.update.terms)
        self.scale = torch.ones(len(self.names))
        self._weights = [1.0] * len(self.names)  # the same, to compare without asking the device
        self._frozen, self._learning, self._autocast = frozen, learning, autocast
        nodes = (*plan.outside, *plan.inside)
        reads = [need for node in nodes for need in node.reads]
        reads += [read for term in plan.update.terms for read in term.reads]
        self._needs = tuple(dict.fromkeys(read for read in reads if owner(read) == BATCH))
        self._outside = tuple(
            (node, tuple({r: None for r in reads if owner(r) == node.name}))
            for node in plan.outside
        )
        live = [node for node in plan.outside if not node.cached]
        mine = {node.name for node in live}
        self.live_reads = tuple(dict.fromkeys(
            need for node in live for need in node.needs if owner(need) not in mine
        ))  # fmt: skip

    @property
    def trained(self) -> list[nn.Module]:
        """The modules that this update trains."""
        return [*self.composite.learners.values(), *self.composite.losses.values()]

    def forward(
        self,
        images: Tensor | Mapping[str, Tensor] | None = None,
        labels: Tensor | None = None,
        *,
        index: Tensor | None = None,
        **signals: Tensor,
    ) -> Output:
        """The weighted loss of a batch.

        Args:
            images, labels, index, signals: as of `Stage.open`; or, in place of ``images``, a
                mapping of signals under their full names. What is given of a frozen node
                (``teacher.logits``) is not computed again.
        """
        if not self.is_open:
            said = "the objective is closed; open the stage again, or call reopen()"
            raise WiringError(f"update '{self.plan.update.name}'", [said])
        if isinstance(images, Mapping):
            batch = dict(images)
        else:
            batch = batch_signals(images, labels, {"index": index, **signals})
        for name in self._needs:
            if name not in batch:
                raise WiringError("objective", [lacking(name, batch)])
        if not torch.compiler.is_compiling():
            self.prepare()
        known = self.observe(batch)
        values, seen = self._composed(known)
        scale = self.scale.to(values)
        loss = torch.dot(values, scale)
        return Output(loss, values, scale, self.names, StepSignals(seen))

    def _composed(self, known: Signals) -> tuple[Tensor, Signals]:
        """Run the composite; batch norm that sees a single row is told in our words."""
        if torch.compiler.is_compiling():
            composed: tuple[Tensor, Signals] = self.composite(known)
            return composed
        try:
            composed = self.composite(known)
        except (RuntimeError, ValueError) as error:
            problem = one_row_problem(error, known)
            if problem is None:
                raise
            raise WiringError(f"update '{self.plan.update.name}'", [problem]) from error
        return composed

    def prepare(self) -> None:
        """Flags as this update wants them: frozen parts in eval mode, gradients for who learns."""
        self._frozen.keep()
        if self._learning is not None:
            self._learning.enter(self.trained)

    def observe(self, batch: Signals, *, cached: bool | None = None) -> Signals:
        """The batch with the signals of the frozen nodes, which run without autograd.

        ``cached``: only of those that are looked up, or only of those that are not; None: of all.
        """
        todo = [
            node
            for node, parts in self._outside
            if any(p not in batch for p in parts) and cached in (None, node.cached)
        ]
        if not todo:
            return batch
        if self._autocast is None:
            return run_outside(todo, batch, step=True)
        device = next(iter(batch.values())).device
        with torch.autocast(device.type, self._autocast):
            return run_outside(todo, batch, step=True)

    def weigh(self, progress: float, epochs: float) -> None:
        """Set the weights of a share of the training."""
        terms = self.plan.update.terms
        weights = [weight_at(term, progress, epochs) for term in terms]
        if weights != self._weights:
            self._weights, device = weights, self.scale.device
            self.scale = torch.stack([torch.full((), float(w), device=device) for w in weights])

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """What learns in this update, by name."""
        found = super().named_parameters(prefix, recurse, remove_duplicate)
        return ((name, p) for name, p in found if id(p) in self._learnt)

    def _apply(self, fn: Any, recurse: bool = True) -> "UpdateObjective":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.scale = self.scale.to(fn(self.scale).device)
        return self


def weight_at(term: Term, progress: float, epochs: float) -> float:
    """The weight of a term at a share of a training of so many epochs.

    >>> from stillhouse.engine.terms import ramp
    >>> weight_at(Term("t", torch.add, "a", weight=ramp(8.0, epochs=20)), 0.25, 40.0)
    4.0
    """
    if isinstance(term.weight, OverTraining):
        return float(term.weight.at(min(progress, 1.0)))
    return term.weight_at(round(progress * epochs, 9), epochs)
