"""An update being played: its composite module, optimiser, schedule, scaler and meter."""

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.composite import Composite, run_outside
from stillhouse.engine.meter import Meter
from stillhouse.engine.optimisers import OptimizerFactory, ScheduleFactory
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.engine.wiring import UpdatePlan
from stillhouse.errors import WiringError


class Player:
    """Plays one update, step after step.

    Args:
        plan: the update and the nodes it runs.
        platform: device, precision, processes.
        optimizer, schedule: used unless the update brings its own.
        steps, per_epoch: how long the schedule is.
        clip: largest norm of the gradient; None: no clipping.
        compile: compile the composite, without graph breaks.
    """

    def __init__(
        self,
        plan: UpdatePlan,
        platform: Platform,
        *,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        steps: int,
        per_epoch: int,
        clip: float | None = None,
        compile: bool = False,
    ) -> None:
        self.plan = plan
        self.platform = platform
        self.epochs = steps / per_epoch
        self.clip = clip
        self.composite = Composite(plan, platform.autocast_dtype).to(platform.device)
        self.parameters = [p for p in self.composite.parameters() if p.requires_grad]
        if not self.parameters:
            names = ", ".join(plan.update.learners)
            raise WiringError(plan.update.name, [f"nothing to learn: {names} has no parameters"])
        self.optimizer = (plan.update.optimizer or optimizer)(self.parameters)
        self.optimizer.zero_grad(set_to_none=True)  # of what the user tried before
        make = plan.update.schedule or schedule
        self.scheduler = make(self.optimizer, steps, per_epoch)
        self.scaler = torch.amp.GradScaler(
            platform.device.type, enabled=platform.precision == "fp16"
        )
        self.meter = Meter([term.name for term in plan.update.terms])
        self._weights: tuple[tuple[float, ...], Tensor] | None = None
        self._model: Any = None
        if compile:
            self.composite.compile(fullgraph=True)

    @property
    def learners(self) -> list[nn.Module]:
        """The modules that this update trains."""
        return [*self.composite.learners.values(), *self.composite.losses.values()]

    def weights_at(self, epoch: float) -> dict[str, float]:
        """The weight of each term at a fractional epoch."""
        return {term.name: term.weight_at(epoch, self.epochs) for term in self.plan.update.terms}

    def _total(self, values: Tensor, epoch: float) -> Tensor:
        weights = tuple(self.weights_at(epoch).values())
        if self._weights is None or self._weights[0] != weights:
            self._weights = (weights, torch.tensor(weights, device=values.device))
        return torch.dot(values, self._weights[1])

    def _call(self, known: Signals) -> Tensor:
        """The composite, wrapped for data-parallel training at its first use."""
        if self._model is None:
            unused = self.platform.world > 1 and self._leaves_some_unused(known)
            self._model = self.platform.wrap(self.composite, find_unused=unused)
        values: Tensor = self._model(known)
        return values

    def _leaves_some_unused(self, known: Signals) -> bool:
        """Whether some parameters get no gradient (a head that no term reads): DDP must know."""
        flags = [(part, part.training) for part in self.composite.modules()]
        self.composite.eval()
        self.composite(known).sum().backward()
        unused = any(p.grad is None for p in self.parameters)
        self.optimizer.zero_grad(set_to_none=True)
        for part, training in flags:
            part.training = training
        return unused

    def play(self, batch: Signals, *, step: int, epoch: float, last: bool, share: float) -> None:
        """One micro-batch; the optimiser moves when it is the last of its step.

        Args:
            batch: its signals.
            step: number of the optimiser step, from 0.
            epoch: fractional epoch, for weights.
            last: whether gradients are complete after this micro-batch.
            share: the part of the step's loss that this micro-batch is.
        """
        with self._autocast():
            known = run_outside(self.plan.outside, batch)
        waiting = contextlib.nullcontext() if last else self._no_sync()
        with waiting:
            values = self._call(known)
            total = self._total(values, epoch)
            self.meter.add(values, step=step)
            if step % self.platform.check_every == 0:
                self.meter.look(self.kept)
            scaled = total if share == 1.0 else total * share
            self.scaler.scale(scaled).backward()
        if last:
            self._move()

    def skip(self) -> None:
        """Let a step pass in which the update does not play: its schedule goes with the fit."""
        self.scheduler.step()

    kept = "no checkpoint was written yet"

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        dtype = self.platform.autocast_dtype
        if dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.platform.device.type, dtype)

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

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

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
            "losses": self.composite.losses.state_dict(),
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
        self.composite.losses.load_state_dict(state["losses"])
