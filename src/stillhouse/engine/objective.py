"""Objective: an opened stage as a module, from a batch to a loss. All that trains goes through it.

Our own fit, checks, balance, scoring, caching and synthesis use exactly this, and so does anybody's
loop; `torch.compile` and ``DistributedDataParallel`` wrap it as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stillhouse.engine.composite import Composite, run_outside
from stillhouse.engine.facts import batch_signals, lacking
from stillhouse.engine.flags import Flags, Frozen, LearningParameters
from stillhouse.engine.graph import Graph
from stillhouse.engine.nodes import Ema, Role
from stillhouse.engine.signals import BATCH, Signals, owner
from stillhouse.engine.terms import OverTraining, Term
from stillhouse.engine.wiring import UpdatePlan, Wiring, measuring_also, wire
from stillhouse.errors import WiringError

Weights = dict[str, dict[str, Tensor]]
"""State dicts by the name of the node."""

EPOCHS = 240.0
"""The schedule of CRD's CIFAR-100 comparison, for which the papers give warm-ups in epochs."""
ROUNDING = 1e-9


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
        self._learnt = learnt
        self.composite = Composite(plan, autocast)
        self.plan = plan
        self.names = tuple(term.name for term in plan.update.terms)
        self.scale = torch.ones(len(self.names))
        self._frozen, self._learning, self._autocast = frozen, learning, autocast
        nodes = (*plan.outside, *plan.inside)
        reads = [need for node in nodes for need in node.reads]
        reads += [read for term in plan.update.terms for read in term.reads]
        self._needs = tuple(dict.fromkeys(read for read in reads if owner(read) == BATCH))
        self._outside = tuple(
            (node, tuple({r: None for r in reads if owner(r) == node.name}))
            for node in plan.outside
        )

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
        values, seen = self.composite(known)
        scale = self.scale.to(values.device)
        loss = torch.dot(values, scale)
        return Output(loss, values, scale, self.names, StepSignals(seen))

    def prepare(self) -> None:
        """Flags as this update wants them: frozen parts in eval mode, gradients for who learns."""
        self._frozen.keep()
        if self._learning is not None:
            self._learning.enter(self.trained)

    def observe(self, batch: Signals) -> Signals:
        """The batch with the signals of the frozen nodes, which run without autograd."""
        todo = [node for node, parts in self._outside if any(p not in batch for p in parts)]
        if not todo:
            return batch
        if self._autocast is None:
            return run_outside(todo, batch)
        device = next(iter(batch.values())).device
        with torch.autocast(device.type, self._autocast):
            return run_outside(todo, batch)

    def weigh(self, progress: float, epochs: float) -> None:
        """Set the weights of a share of the training."""
        terms = self.plan.update.terms
        weights = [weight_at(term, progress, epochs) for term in terms]
        if weights != self.scale.tolist():
            self.scale = torch.tensor(weights, device=self.scale.device)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """What learns in this update, by name."""
        found = super().named_parameters(prefix, recurse, remove_duplicate)
        return ((name, p) for name, p in found if id(p) in self._learnt)

    def _apply(self, fn: Any, recurse: bool = True) -> "UpdateObjective":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.scale = fn(self.scale)
        return self


class Objective(nn.Module):
    """A stage that was wired and checked: a module that gives the loss of a batch.

    Opened by `Stage.open`; `close` (or the end of the ``with``) takes the hooks off and puts flags
    back. ``parameters()`` is what learns (student, bridges, what losses learn) and nothing else;
    ``state_dict()`` holds it, the memories of losses and the moving averages, not the teacher.

    >>> from stillhouse.methods import kd
    >>> student, teacher = nn.Linear(4, 2), nn.Linear(4, 2)
    >>> objective = kd(student, teacher).open(torch.randn(8, 4), torch.tensor([0, 1] * 4))
    >>> teacher.weight.requires_grad, sorted(objective.state_dict())
    (False, ['nodes.student.bias', 'nodes.student.weight'])
    >>> objective.close()
    >>> teacher.weight.requires_grad
    True
    """

    accepts_loss_kwargs = False
    """For the Trainer of transformers: the loss is a mean over the batch that it was given."""

    def __init__(
        self,
        stage: Graph,
        batch: Signals,
        *,
        seed: int = 0,
        epochs: float | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        stage = stage.with_labelled_terms()
        self.stage = stage
        self.epochs = EPOCHS if epochs is None else float(epochs)
        self.autocast = autocast
        self.progress = 0.0
        self._flags = Flags(stage.modules())
        self._is_open = True  # from here on there is something to put back
        try:
            self.wiring: Wiring = wire(stage, batch, seed=seed)
            self._compose()
            self.reopen()
        except BaseException:
            self.close()
            raise

    def _compose(self) -> None:
        stage, nodes = self.stage, self.wiring.nodes
        learners = set(stage.learners)
        self.learners = {n.name: n.module for n in nodes if n.name in learners and n.module}
        self.followers = [node for node in stage.nodes if isinstance(node, Ema)]
        losses = {term.name: term.module for term in stage.terms() if term.module is not None}
        self.nodes = nn.ModuleDict(self.stateful())
        self.losses = nn.ModuleDict(losses)
        parts = [
            frozen
            for node in nodes
            if isinstance(node, Role) and node.name in learners
            for frozen in node.frozen_parts()
        ]
        others = [
            n.module for n in (*nodes, *self.followers) if n.name not in learners and n.module
        ]
        self._frozen = Frozen([*others, *parts])
        self._frozen.freeze()
        trained = [*self.learners.values(), *losses.values()]
        several = len(self.wiring.updates) > 1
        self._learning = LearningParameters(self.learners.values()) if several else None
        kept_out = {id(p) for frozen in parts for p in frozen.parameters()}
        self._learnt = {
            id(p) for module in trained for p in module.parameters()
            if self._flags.learns(p) and id(p) not in kept_out
        }  # fmt: skip
        self.updates = tuple(
            UpdateObjective(plan, self._frozen, self._learning, self._learnt, self.autocast)
            for plan in self.wiring.updates
        )
        for update in self.updates:
            device = next((p.device for p in update.composite.parameters()), None)
            update.scale = update.scale.to(device)
            if next(update.parameters(), None) is None:
                names = ", ".join(update.plan.update.learners)
                said = f"nothing to learn: {names} has no parameters"
                raise WiringError(update.plan.update.name, [said])

    # -- open and closed ---------------------------------------------------------------------

    def reopen(self) -> None:
        """Put the hooks on and set flags: learners in train mode, all others frozen.

        An objective that was closed is as it was then; nothing is checked or sized again.
        """
        if not self._is_open:
            self._flags = Flags(self.stage.modules())
        self._is_open = True
        self._listen()
        self._frozen.freeze()
        self.train()
        self.set_progress(self.progress)

    def _listen(self) -> None:
        for node in self.wiring.nodes:
            node.open([name for name in self.wiring.parts[node.name] if name])

    @contextmanager
    def measuring_also(self, reads: Iterable[str]) -> Iterator[None]:
        """Within the block, what is run to measure the stage gives these signals, too."""
        before = self.wiring
        try:
            self.wiring = measuring_also(before, reads)
            self._listen()
            yield
        finally:
            self.wiring = before
            self._listen()

    def close(self) -> None:
        """Take the hooks off and put the flags of all modules back."""
        for node in self.stage.nodes:
            node.close()
        self._flags.restore()
        self._is_open = False

    def __enter__(self) -> "Objective":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def train(self, mode: bool = True) -> "Objective":
        """Learners and losses in train (or eval) mode; what is frozen stays in eval mode."""
        super().train(mode)
        for update in self.updates:
            update.training = mode
        self._frozen.keep()
        return self

    # -- a step ------------------------------------------------------------------------------

    def forward(
        self,
        images: Tensor | Mapping[str, Tensor] | None = None,
        labels: Tensor | None = None,
        *,
        index: Tensor | None = None,
        **signals: Tensor,
    ) -> Output:
        """The loss of a batch; of a stage with several optimisers each has a module in `updates`.

        Raises:
            WiringError: the objective is closed, has several updates, or the batch lacks a signal.
        """
        if len(self.updates) > 1:
            names = ", ".join(update.plan.update.name for update in self.updates)
            said = f"this stage makes several updates in a step ({names}); call each of "
            said += "objective.updates, and give each an optimiser of its own"
            raise WiringError(f"stage '{self.stage.name}'", [said])
        if not self._is_open:
            said = "the objective is closed; open the stage again, or call reopen()"
            raise WiringError(f"stage '{self.stage.name}'", [said])
        output: Output = self.updates[0](images, labels, index=index, **signals)
        return output

    def after_step(self, progress: float | None = None) -> None:
        """After the optimisers moved: moving averages follow, weights are those of the next step.

        Args:
            progress: the share of the training that is done, in 0..1. May be left out where nothing
                follows the training.

        Raises:
            WiringError: it is needed and left out, or not in 0..1.
        """
        if progress is None:
            if self._follows_training:
                said = "a weight or a moving average of this stage follows the training; say how "
                said += "much of it is done: after_step(progress=step / steps)"
                raise WiringError(f"stage '{self.stage.name}'", [said])
            progress = self.progress
        elif not 0.0 <= progress <= 1.0 + ROUNDING:
            said = f"progress is the share of the training that is done, in 0..1, not {progress}"
            raise WiringError(f"stage '{self.stage.name}'", [said])
        for follower in self.followers:
            if follower.due(self.progress, progress, self.epochs):
                follower.follow()
        self.set_progress(progress)

    def set_progress(self, progress: float) -> None:
        """Set the weights to those of a share of the training, where one goes on from there."""
        self.progress = progress
        for update in self.updates:
            update.weigh(progress, self.epochs)

    @property
    def _follows_training(self) -> bool:
        weights = any(callable(t.weight) or isinstance(t.weight, OverTraining)
                      for t in self.stage.terms())  # fmt: skip
        return weights or any(follower.follows_training for follower in self.followers)

    # -- parameters and state ----------------------------------------------------------------

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """What learns, by name; nothing that is frozen or that follows."""
        found = super().named_parameters(prefix, recurse, remove_duplicate)
        return ((name, p) for name, p in found if id(p) in self._learnt)

    def stateful(self) -> dict[str, nn.Module]:
        """The modules that change, by the name of their node: learners and moving averages."""
        learners = set(self.stage.learners)
        return {
            node.name: node.module
            for node in self.stage.nodes
            if (node.name in learners or isinstance(node, Ema)) and node.module is not None
        }

    def weights(self) -> Weights:
        """A copy on the CPU of the weights of each node that changes."""
        return {
            name: {
                key: value.detach().cpu().contiguous().clone()
                for key, value in module.state_dict().items()
            }
            for name, module in self.stateful().items()
        }

    def load_weights(self, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Put such weights back, strictly."""
        for name, module in self.stateful().items():
            module.load_state_dict(weights[name])

    @property
    def finite(self) -> bool:
        """Whether all weights are: a finite loss can still send them to inf in its last step."""
        values = (v for m in self.stateful().values() for v in m.state_dict().values())
        return all(bool(torch.isfinite(v).all()) for v in values if v.is_floating_point())

    def _apply(self, fn: Any, recurse: bool = True) -> "Objective":
        """Move what is frozen, too; it is no submodule, so that nobody saves or wraps it."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        mine = {id(module) for module in self.modules()}
        for node in self.wiring.nodes:
            if node.module is not None and id(node.module) not in mine:
                node.module._apply(fn, recurse)
        for update in self.updates:
            update.scale = fn(update.scale)
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
