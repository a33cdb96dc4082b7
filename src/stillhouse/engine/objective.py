"""Objective: an opened stage as a module, from a batch to a loss. All that trains goes through it.

Our own fit, checks, balance, scoring, caching and synthesis use exactly this, and so does anybody's
loop; `torch.compile` and ``DistributedDataParallel`` wrap it as a whole.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from stillhouse.data.mixing import PARTNER_LABEL
from stillhouse.engine.flags import Flags, Frozen, LearningParameters, held_in_eval
from stillhouse.engine.graph import Graph
from stillhouse.engine.nodes import Ema, Role
from stillhouse.engine.signals import Signals, owner
from stillhouse.engine.teaching import Practice, check_teaching
from stillhouse.engine.update_objective import Output, UpdateObjective
from stillhouse.engine.wiring import Wiring, measuring_also, wire
from stillhouse.errors import WiringError
from stillhouse.models.given import distinct_tensors

Weights = dict[str, dict[str, Tensor]]
"""State dicts by the name of the node."""

EPOCHS = 240.0
"""The schedule of CRD's CIFAR-100 comparison, for which the papers give warm-ups in epochs."""
ROUNDING = 1e-9

_OPEN: Any = WeakKeyDictionary()
"""Node -> the objective that it listens for."""


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
        practice: Practice | None = None,
    ) -> None:
        super().__init__()
        stage = stage.with_labelled_terms(batch)
        self.stage = stage
        self.epochs = _epochs(EPOCHS if epochs is None else epochs)
        self.autocast = autocast
        self.progress = 0.0
        self.updates: tuple[UpdateObjective, ...] = ()
        self._take_over()
        self._flags = Flags(stage.modules())
        self._is_open = True  # from here on there is something to put back
        try:
            self.wiring: Wiring = wire(stage, batch, seed=seed)
            self._compose()
            self.reopen()
            check_teaching(
                stage,
                self.updates,
                self._learnt,
                practice or Practice(self._with_targets(batch)),
                epochs=self.epochs,
                seed=seed,
            )
            self._listen()  # anew: without looking for changes in place
        except BaseException:
            self.close()
            raise

    def _with_targets(self, batch: Signals) -> Signals:
        """A batch with what frozen nodes said of it in the dry run, to ask them only once."""
        if self.autocast is not None:
            return batch
        still = {n.name for n in self.wiring.nodes} - set(self.stage.learners)
        seen = {k: v for k, v in self.wiring.seen.items() if owner(k) in still}
        return {**batch, **seen}

    def _compose(self) -> None:
        stage, nodes = self.stage, self.wiring.nodes
        learners = set(stage.learners)
        self.learners = {
            n.name: n.module for n in nodes if n.name in learners and n.module is not None
        }
        self.followers = [node for node in stage.nodes if isinstance(node, Ema)]
        losses = {term.name: term.module for term in stage.terms() if term.module is not None}
        self.nodes = nn.ModuleDict(self.stateful())
        self.losses = nn.ModuleDict(losses)
        named = [
            (node.module, node.frozen_parts())
            for node in nodes
            if isinstance(node, Role) and node.name in learners
        ]
        parts = [network.get_submodule(path) for network, found in named for path in found.modules]
        kept = [parameter for network, found in named for parameter in found.of(network)]
        others = [
            n.module
            for n in (*nodes, *self.followers)
            if n.name not in learners and n.module is not None
        ]
        held = {name: held_in_eval(module) for name, module in self.learners.items()}
        self.held = {name: paths for name, paths in held.items() if paths}
        still = [
            self.learners[name].get_submodule(path)
            for name, paths in self.held.items()
            for path in paths
        ]
        self._frozen = Frozen([*others, *parts], still=still, parameters=kept)
        self._frozen.freeze()
        self._not_finite = {
            key: ~torch.isfinite(value)
            for key, value in self._floating()
            if not bool(torch.isfinite(value).all())
        }
        trained = [*self.learners.values(), *losses.values()]
        several = len(self.wiring.updates) > 1
        self._learning = LearningParameters(self.learners.values()) if several else None
        kept_out = {id(p) for p in kept}
        self._learnt = {
            id(p) for module in trained for p in module.parameters()
            if self._flags.learns(p) and id(p) not in kept_out
        }  # fmt: skip
        self._check_something_learns()
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

    def _check_something_learns(self) -> None:
        """A network that is to learn and is wholly frozen would end as it began."""
        for node in self.wiring.nodes:
            if not isinstance(node, Role) or node.name not in self.learners:
                continue
            mine = list(node.module.parameters())
            if mine and not any(id(parameter) in self._learnt for parameter in mine):
                said = f"all {sum(p.numel() for p in mine):,} parameters of it are frozen "
                said += "(requires_grad is False, or frozen names them), so it cannot learn; "
                said += "leave a part of it free"
                raise WiringError(node.title, [said])

    # -- open and closed ---------------------------------------------------------------------

    def reopen(self) -> None:
        """Put the hooks on and set flags: learners in train mode, all others frozen.

        An objective that was closed is as it was then; nothing is checked or sized again.
        """
        if not self._is_open:
            self._take_over()
            self._flags = Flags(self.stage.modules())
        self._is_open = True
        for update in self.updates:
            update.is_open = True
        self._listen()
        self._frozen.freeze()
        self.train()
        self.set_progress(self.progress)

    def _take_over(self) -> None:
        """A node listens for one objective: another one that has it open is closed."""
        for node in self.stage.nodes:
            before = _OPEN.get(node)
            other = None if before is None else before()
            if other is not None and other is not self:
                other.close()
            _OPEN[node] = ref(self)

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
        """Take the hooks off and put the flags of all modules back; nothing where that was done."""
        if not self._is_open:
            return
        for node in self.stage.nodes:
            node.close()
        self._flags.restore()
        self._is_open = False
        for update in self.updates:
            update.is_open = False

    def __enter__(self) -> "Objective":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def train(self, mode: bool = True) -> "Objective":
        """Learners and losses in train (or eval) mode; what is frozen stays in eval mode.

        So does a part that was given in eval mode within a network in train mode (`held_in_eval`).
        """
        super().train(mode)
        for update in self.updates:
            update.training = mode
        if self._is_open:
            self._frozen.keep()
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        """An open objective cannot be copied: its hooks are on these very networks."""
        said = (
            "it listens to your networks through hooks, so it can be neither copied nor pickled; "
        )
        said += "save objective.state_dict(), or copy the networks and open a stage of them"
        raise WiringError("objective", [said])

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
            if self.stage.follows_training or any(each.warmup for each in self.followers):
                said = "a weight or a moving average of this stage follows the training; say how "
                said += "much of it is done: after_step(progress=step / steps)"
                raise WiringError(f"stage '{self.stage.name}'", [said])
            progress = self.progress
        else:
            self._check_share(progress)
        for follower in self.followers:
            if follower.due(self.progress, progress, self.epochs):
                follower.follow(follower.kept(self.progress, progress))
        self.set_progress(progress)

    def set_progress(self, progress: float) -> None:
        """Set the weights to those of a share of the training, where one goes on from there.

        Raises:
            WiringError: it is no number in 0..1.
        """
        self._check_share(progress)
        self.progress = progress
        for update in self.updates:
            update.weigh(progress, self.epochs)

    def _check_share(self, progress: Any) -> None:
        if not isinstance(progress, Real) or not 0.0 <= float(progress) <= 1.0 + ROUNDING:
            said = "progress is the share of the training that is done, a number in 0..1, "
            said += f"not {progress!r}"
            raise WiringError(f"stage '{self.stage.name}'", [said])

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
                if isinstance(value, Tensor) else copy.deepcopy(value)  # get_extra_state
                for key, value in module.state_dict().items()
            }
            for name, module in self.stateful().items()
        }  # fmt: skip

    def load_weights(self, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Put such weights back, strictly."""
        for name, module in self.stateful().items():
            module.load_state_dict(weights[name])

    def label_problem(self, batch: Mapping[str, Tensor]) -> str | None:
        """Why the labels of a batch are none of what is measured here; None when they are."""
        label = batch.get("batch.label")
        outputs = [self.wiring.seen.get(signal) for signal in self.stage.measures.values()]
        widths = [output.shape[1] for output in outputs if output is not None and output.ndim == 2]
        if label is None or not widths:
            return None
        problem = self.stage.task.batch_problem
        found = problem(label, min(widths))
        partner = batch.get(PARTNER_LABEL)
        if found is None and partner is not None:
            found = problem(partner, min(widths))
            found = found and f"of the partners, {found}"
        return found

    @property
    def finite(self) -> bool:
        """Whether all weights are: a finite loss can still send them to inf in its last step.

        What was not finite when the objective was opened, such as a mask of -inf, may stay so.
        """
        return all(
            bool((torch.isfinite(value) | known.to(value.device)).all()) if known is not None
            else bool(torch.isfinite(value).all())
            for key, value in self._floating()
            for known in [self._not_finite.get(key)]
        )  # fmt: skip

    def _floating(self) -> Iterator[tuple[tuple[str, str], Tensor]]:
        for node, module in self.stateful().items():
            for name, value in distinct_tensors(module).items():
                if value.is_floating_point():
                    yield (node, name), value

    def _apply(self, fn: Any, recurse: bool = True) -> "Objective":
        """Move what is frozen, too; it is no submodule, so that nobody saves or wraps it."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        mine = {id(module) for module in self.modules()}
        for node in self.wiring.nodes:
            if node.module is not None and id(node.module) not in mine:
                node.module._apply(fn, recurse)
        for update in self.updates:
            update.scale = update.scale.to(fn(update.scale).device)
        return self


def _epochs(given: Any) -> float:
    if isinstance(given, Real) and 0 < float(given) < float("inf"):
        return float(given)
    said = f"epochs is how long the whole training is, a number above 0, not {given!r}"
    raise WiringError("objective", [said])
