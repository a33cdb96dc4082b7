"""A stepper: the optimiser of one update, with its schedule, scaler and meter."""

import contextlib
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from stillhouse.engine.graphs import GRAPHS, Compile, StepGraphs
from stillhouse.engine.meter import Meter, PartMeter
from stillhouse.engine.nodes import Role
from stillhouse.engine.optimisers import OptimizerFactory, optimizer_of
from stillhouse.engine.platform import Platform
from stillhouse.engine.rates import scale_rates
from stillhouse.engine.schedules import ScheduleFactory
from stillhouse.engine.signals import Signals
from stillhouse.engine.update_objective import Output, UpdateObjective


class Stepper:
    """Makes one update, step after step.

    Args:
        update: of an objective.
        platform: device, precision, processes.
        optimizer, schedule: used unless the update brings its own.
        steps, per_epoch: how long the schedule is.
        clip: largest norm of the gradient; None: no clipping.
        compile: compile the networks and losses of the update, without graph breaks; ``"graphs"``
            records CUDA graphs besides (`StepGraphs`).
        parts: how the outputs of a network begin that are parts of its own loss; empty: none are.
    """

    def __init__(
        self,
        update: UpdateObjective,
        platform: Platform,
        *,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        steps: int,
        per_epoch: int,
        clip: float | None = None,
        compile: Compile = False,
        parts: str = "",
    ) -> None:
        self.update = update
        self.platform = platform
        self.clip = clip
        self.parameters = list(update.parameters())
        plan = update.plan.update
        self.every = plan.every
        self.optimizer = optimizer_of(plan.optimizer or optimizer, update)
        roles = [node for node in update.plan.inside if isinstance(node, Role)]
        scale_rates(self.optimizer, {p: s for role in roles for p, s in role.lr_scales.items()})
        self.optimizer.zero_grad(set_to_none=True)  # of what the user tried before
        make = plan.schedule or schedule
        self.scheduler = make(self.optimizer, steps, per_epoch)
        self.scaler = torch.amp.GradScaler(
            platform.device.type, enabled=platform.precision == "fp16"
        )
        self.meter = Meter(list(update.names))
        self.parts = PartMeter()
        self._parts = [f"{name}.{parts}" for name in plan.learners] if parts else []
        self._model: Any = None
        self.graphs: StepGraphs | None = None
        if compile:
            update.composite.gives_signals = False
        if compile == GRAPHS:
            self.graphs = StepGraphs(update)
        elif compile:
            update.composite.compile(fullgraph=update.composite.of_one_form)

    def _call(self, known: Signals) -> Output:
        """The update, wrapped for data-parallel training at its first use."""
        if self._model is None:
            unused = self.platform.world > 1 and self._leaves_some_unused(known)
            self._model = self.platform.wrap(self.update, find_unused=unused)
        output: Output = self._model(known)
        return output

    def _leaves_some_unused(self, known: Signals) -> bool:
        """Whether some parameters get no gradient (a head that no term reads): DDP must know."""
        composite = self.update.composite
        flags = [(part, part.training) for part in composite.modules()]
        composite.eval()
        values = composite(known)[0].sum()
        if values.requires_grad:  # a detector has losses in train mode alone
            values.backward()
        unused = any(p.grad is None for p in self.parameters)
        self.optimizer.zero_grad(set_to_none=True)
        for part, training in flags:
            part.training = training
        return unused

    def step(self, batch: Signals, *, number: int, last: bool = True, share: float = 1.0) -> None:
        """One micro-batch; the optimiser moves when it is the last of its step.

        Args:
            batch: its signals.
            number: of the optimiser step, from 0.
            last: whether gradients are complete after this micro-batch.
            share: the part of the step's loss that this micro-batch is.

        Raises:
            NonFiniteLoss: a term is nan or inf.
            WiringError: CUDA graphs were asked for, and cannot be recorded.
        """
        self.update.prepare()
        graphs = self.graphs
        known = self.update.observe(batch) if graphs is None else graphs.observe(batch)
        waiting = contextlib.nullcontext() if last else self._no_sync()
        with waiting:
            out = self._call(known)
            self.meter.add(out.values if graphs is None else graphs.keep(out.values), step=number)
            for start in self._parts:
                signals = out.signals.items()
                self.parts.add({n[len(start) :]: v for n, v in signals if n.startswith(start)})
            if number % self.platform.check_every == 0:
                self.meter.look()
            scaled = out.loss if share == 1.0 else out.loss * share
            self.scaler.scale(scaled).backward()
        if graphs is not None:
            graphs.check()
            if not last:
                graphs.keep_gradients(self.parameters)
        if last:
            self._move()

    def skip(self) -> None:
        """Let a step pass in which the update is not made: its schedule goes with the fit."""
        self.scheduler.step()

    def _no_sync(self) -> contextlib.AbstractContextManager[Any]:
        if self.platform.world == 1 or self._model is None:
            return contextlib.nullcontext()
        context: contextlib.AbstractContextManager[Any] = self._model.no_sync()
        return context

    def _move(self) -> None:
        if self.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.scheduler.step()

    def means(self) -> dict[str, float]:
        """Mean of each term over the epoch so far, over all processes."""
        mine = self.meter.means()
        if self.platform.world == 1:
            return mine
        local = torch.tensor(list(mine.values()), device=self.platform.device)
        everyone = (self.platform.sum(local) / self.platform.world).tolist()
        return dict(zip(mine, everyone, strict=True))

    def part_means(self) -> dict[str, float]:
        """Mean of each part of the networks' own losses, over all processes.

        Nothing where processes know of different parts.
        """
        mine = self.parts.means()
        if self.platform.world == 1 or not self._parts:
            return mine
        device = self.platform.device
        told = torch.tensor([len(mine), zlib.crc32(repr(list(mine)).encode())], device=device)
        if not torch.equal(self.platform.sum(told), told * self.platform.world):
            return {}
        local = torch.tensor(list(mine.values()), device=device)
        everyone = (self.platform.sum(local) / self.platform.world).tolist()
        return dict(zip(mine, everyone, strict=True))

    @property
    def lr(self) -> float:
        """The learning rate of the next step; where parameters have their own, the largest."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    def state_dict(self) -> dict[str, Any]:
        """Optimiser, schedule, scaler, meter and the terms' own state."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": {
                key: value
                for key, value in self.scheduler.state_dict().items()
                if key not in ("lr_lambdas", "_get_lr_called_within_step")
            },
            "scaler": self.scaler.state_dict(),
            "meter": self.meter.state_dict(),
            **({"parts": self.parts.state_dict()} if self._parts else {}),
            "losses": self.update.composite.losses.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state back."""
        self.optimizer.load_state_dict(state["optimizer"])
        scheduler = dict(state["scheduler"])
        if hasattr(self.scheduler, "lr_lambdas"):
            scheduler["lr_lambdas"] = [None] * len(self.scheduler.lr_lambdas)
        self.scheduler.load_state_dict(scheduler)
        self.scaler.load_state_dict(state["scaler"])
        self.meter.load_state_dict(state["meter"])
        if self._parts:
            self.parts.load_state_dict(state["parts"], self.platform.device)
        self.update.composite.losses.load_state_dict(state["losses"])
