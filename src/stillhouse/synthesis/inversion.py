"""Inversion: images as parameters, optimised through a frozen teacher."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.optimisers import OptimizerFactory, adamw
from stillhouse.engine.seeding import seeded
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.models.given import set_eval
from stillhouse.synthesis.inputs import (
    ConstantBatch,
    ParameterBatch,
    RandomShift,
    gaussian_noise,
    uniform_noise,
)
from stillhouse.synthesis.maker import ImageBatch, MakeBatch, Maker, Request
from stillhouse.synthesis.priors import target_kl
from stillhouse.synthesis.session import Session
from stillhouse.synthesis.targets import Targets
from stillhouse.synthesis.teacher import FrozenTeacher

PIXELS, TARGET, VIEW, STUDENT = "pixels", "target", "view", "student"
LOOK_EVERY = 25
"""Steps between looks at which images are finished; a look is one more forward pass."""
SHRINK_BELOW = 0.9
"""The batch is made smaller when no more than this share of it has to stay: copying costs, too."""

Start = Literal["uniform", "gaussian"]

AfterStep = Callable[[FrozenTeacher, Tensor, Targets], None]
"""Changes images in place after each update: (teacher, images, their targets)."""


@dataclass(frozen=True, eq=False)
class Inversion(Maker):
    """Optimise images until the teacher says of them what it is to say.

    Args:
        name, settings, temperature, batch, coupled, chained: as of `Maker`.
        draw: (teacher, count, seed) -> the targets.
        terms: what an image is judged by, from signals 'pixels', 'view' (the pixels, shifted, where
            there is a ``shift``), 'target', 'teacher.*' and 'student.*'.
        steps: updates of each image.
        optimizer: of the pixels. Adam at 0.1.
        start: what images begin as: U[0, 1] or N(0, 1), in the units that the teacher sees.
        after_step: applied after each update.
        shift: what the teacher sees of the pixels; None: the pixels themselves.
        student: a second classifier, frozen, for terms that compare the two.
        tolerance: an image leaves the batch when the teacher's softmax is so near its target
            (KL in nats); None: all stay to the end.
        compile: compile the step. Changes the last bits.
        describe: teacher -> what the manifest is to say of it; see `Maker.about`.
    """

    name: str
    draw: Callable[[FrozenTeacher, int, int], Targets]
    terms: Callable[[FrozenTeacher], Sequence[Term]]
    steps: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    optimizer: OptimizerFactory = field(default_factory=lambda: adamw(0.1, weight_decay=0.0))
    start: Start = "uniform"
    after_step: AfterStep | None = None
    shift: RandomShift | None = None
    student: nn.Module | None = None
    temperature: float = 1.0
    tolerance: float | None = None
    batch: int | None = None
    coupled: bool = False
    chained: bool = False
    compile: bool = False
    describe: Callable[[FrozenTeacher], Mapping[str, Any]] | None = None

    def check(self, teacher: FrozenTeacher) -> None:
        """Draw a target and make the terms: each says what it misses."""
        self.draw(teacher, 1, 0)
        self.terms(teacher)

    def targets(self, teacher: FrozenTeacher, count: int, seed: int) -> Targets:
        """What the teacher is to say."""
        return self.draw(teacher, count, seed)

    def about(self, teacher: FrozenTeacher) -> Mapping[str, Any]:
        """What `describe` says."""
        return {} if self.describe is None else self.describe(teacher)

    def stage(self, teacher: FrozenTeacher, pixels: ParameterBatch, target: ConstantBatch) -> Stage:
        """Pixels that learn, a frozen teacher that sees them, and terms."""
        view = PIXELS if self.shift is None else VIEW
        nodes: list[Node] = [
            Bridge(PIXELS, pixels, "batch.index"),
            Bridge(TARGET, target, "batch.index"),
            teacher.role(view),
        ]
        if self.shift is not None:
            nodes.append(Bridge(VIEW, self.shift, PIXELS))
        if self.student is not None:
            nodes.append(Role(STUDENT, self.student, reads=view))
        update = Update(PIXELS, self.terms(teacher))
        return Stage(self.name, nodes, [update], measures={}, keeps=PIXELS)

    def initial_images(self, teacher: FrozenTeacher, seed: int, rows: Tensor) -> Tensor:
        """What the images of these rows begin as."""
        noise = uniform_noise if self.start == "uniform" else gaussian_noise
        return noise(seed, rows.to(teacher.device), teacher.image_shape)

    @contextmanager
    def opened(self, teacher: FrozenTeacher, seed: int, work: Path) -> Iterator[MakeBatch]:
        """Optimise batches; the stage stays open for the next batch of the same size."""
        modules = [] if self.student is None else [self.student]
        flags, homes = Flags(modules), Homes(modules)
        current: _PixelStage | None = None

        def make(request: Request) -> ImageBatch:
            nonlocal current
            if current is not None and current.count != len(request.rows):
                current.close()
                current = None
            if current is None:
                current = _PixelStage(self, teacher, request)
            with seeded(seed, "batch", request.first):
                return current.make(request, self.initial_images(teacher, seed, request.rows))

        try:
            homes.place(teacher.device, channels_last=True)
            for module in modules:
                set_eval(module)
                module.requires_grad_(False)
            yield make
        finally:
            if current is not None:
                current.close()
            flags.restore()
            homes.restore()


class _PixelStage:
    """The stage of one batch size, open."""

    def __init__(self, plan: Inversion, teacher: FrozenTeacher, request: Request) -> None:
        self.plan, self.teacher, self.count = plan, teacher, len(request.rows)
        device = teacher.device
        self.pixels = ParameterBatch(torch.zeros(self.count, *teacher.image_shape, device=device))
        self.target = ConstantBatch(_targets(request).probabilities.to(device))
        self.batch: Signals = {"batch.index": torch.arange(self.count, device=device)}
        self.session = Session(
            plan.stage(teacher, self.pixels, self.target),
            self.batch,
            teacher.platform,
            optimizer=plan.optimizer,
            steps=plan.steps,
            compile=plan.compile,
        )

    def make(self, request: Request, initial: Tensor) -> ImageBatch:
        """All steps of a batch, from its initial images or from the batch before."""
        start = initial if request.previous is None else request.previous.to(initial)
        targets = _targets(request)
        self.session.reset()
        self.pixels.values.data = start.clone()
        self.target.values = targets.probabilities.to(initial.device)
        early = EarlyExit(self.plan.tolerance, self.plan.temperature, self.pixels, self.target)
        for step in range(self.plan.steps):
            self.session.step(self.batch, step)
            if self.plan.after_step is not None:
                with torch.no_grad():
                    here = targets.take(early.places.cpu())
                    self.plan.after_step(self.teacher, self.pixels.values, here)
            if early.due(step + 1) and early.release(self.session, self.teacher.module, step + 1):
                break
        self.session.finish()
        return early.collect(self.plan.steps)

    def close(self) -> None:
        """Leave no hook behind."""
        self.session.close()


def _targets(request: Request) -> Targets:
    if request.targets is None:
        raise WiringError("synthesis", ["an inversion needs targets; draw them with `targets`"])
    return request.targets


class EarlyExit:
    """Which images are still in the batch, and what the finished ones looked like.

    An image never depends on the others of its batch, so an early exit changes nobody's result but
    the rounding.

    Args:
        tolerance: KL (nats) at which an image is finished; None: all stay to the end.
        temperature: of the softmax.
        pixels, target: what is made smaller.
    """

    def __init__(
        self,
        tolerance: float | None,
        temperature: float,
        pixels: ParameterBatch,
        target: ConstantBatch,
    ) -> None:
        self.tolerance, self.temperature = tolerance, temperature
        self._pixels, self._target = pixels, target
        count = len(pixels.values)
        self.places = torch.arange(count, device=pixels.values.device)
        self._images: Tensor | None = None
        self._steps = torch.full((count,), -1)

    def due(self, step: int) -> bool:
        """Whether it is time to look, after so many steps."""
        return self.tolerance is not None and step % LOOK_EVERY == 0

    @torch.no_grad()
    def release(self, session: Session, teacher: nn.Module, step: int) -> bool:
        """Take the finished images out of the batch; gives whether none is left in it."""
        gap = target_kl(teacher(self._pixels.values), self._target.values,
                        temperature=self.temperature)  # fmt: skip
        stays = gap > (self.tolerance or 0.0)
        if int(stays.sum()) > SHRINK_BELOW * len(stays):
            return False
        self._take(~stays, step)
        if not bool(stays.any()):
            return True
        rows = stays.nonzero().squeeze(1)
        self.places = self.places[rows]
        self._target.values = self._target.values[rows]
        session.keep_rows(self._pixels.values, rows)
        return False

    def _take(self, finished: Tensor, step: int) -> None:
        values = self._pixels.values.detach()
        if self._images is None:
            self._images = values.new_empty(len(self._steps), *values.shape[1:])
        places = self.places[finished]
        self._images[places] = values[finished]
        self._steps[places.cpu()] = step

    def collect(self, steps: int) -> ImageBatch:
        """All images: those that were released, and those that stayed for all steps."""
        if self._images is None:
            left = torch.full_like(self._steps, steps)
            return ImageBatch(self._pixels.values.detach().clone(), left)
        here = self._steps[self.places.cpu()] < 0
        if bool(here.any()):
            self._take(here.to(self.places.device), steps)
        return ImageBatch(self._images, self._steps)
