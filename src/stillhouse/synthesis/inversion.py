"""Inversion: images as parameters, optimised through a frozen teacher. A Maker and its Stage."""

import copy
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
from stillhouse.engine.optimisers import OptimizerFactory, adamw, constant
from stillhouse.engine.player import Player
from stillhouse.engine.seeding import seeded
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.wiring import Wiring, wire
from stillhouse.errors import WiringError
from stillhouse.synthesis.held import Given, Pixels, Shifted
from stillhouse.synthesis.leaving import Leaving
from stillhouse.synthesis.maker import Made, Make, Maker, Wanted
from stillhouse.synthesis.noise import gaussian_noise, uniform_noise
from stillhouse.synthesis.subject import Subject
from stillhouse.synthesis.targets import Targets

PIXELS, TARGET, SEEN, STUDENT = "pixels", "target", "seen", "student"
Start = Literal["uniform", "gaussian"]

After = Callable[[Subject, Tensor, Targets], None]
"""Changes images in place after each update: (subject, images, their targets)."""


@dataclass(frozen=True, eq=False)
class Inversion(Maker):
    """Optimise images until the teacher says of them what it is to say.

    Args:
        name, settings, temperature, batch, coupled, chained: as of `Maker`.
        draw: (subject, count, seed) -> the targets.
        terms: what an image is judged by, from signals 'pixels', 'seen' (the pixels, shifted where
            ``shifted`` is there), 'target', 'teacher.*' and 'student.*'.
        steps: updates of each image.
        optimizer: of the pixels. Adam at 0.1.
        start: what images begin as: U[0, 1] or N(0, 1), in the units that the teacher sees.
        after: applied after each update.
        shifted: what the teacher sees of the pixels.
        student: a second classifier, frozen, for terms that compare the two.
        tolerance: an image leaves the batch when the teacher's softmax is so near its target
            (KL in nats); None: all stay to the end.
        compile: compile the step. Changes the last bits.
        tells: subject -> what the manifest is to say of it; see `Maker.about`.
    """

    name: str
    draw: Callable[[Subject, int, int], Targets]
    terms: Callable[[Subject], Sequence[Term]]
    steps: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    optimizer: OptimizerFactory = field(default_factory=lambda: adamw(0.1, weight_decay=0.0))
    start: Start = "uniform"
    after: After | None = None
    shifted: Shifted | None = None
    student: nn.Module | None = None
    temperature: float = 1.0
    tolerance: float | None = None
    batch: int | None = None
    coupled: bool = False
    chained: bool = False
    compile: bool = False
    tells: Callable[[Subject], Mapping[str, Any]] | None = None

    def check(self, subject: Subject) -> None:
        """Draw a target and make the terms: each says what it misses."""
        self.draw(subject, 1, 0)
        self.terms(subject)

    def targets(self, subject: Subject, count: int, seed: int) -> Targets:
        """What the teacher is to say."""
        return self.draw(subject, count, seed)

    def about(self, subject: Subject) -> Mapping[str, Any]:
        """What `tells` tells."""
        return {} if self.tells is None else self.tells(subject)

    def stage(self, subject: Subject, pixels: Pixels, target: Given) -> Stage:
        """Pixels that learn, a frozen teacher that sees them, and terms."""
        seen = PIXELS if self.shifted is None else SEEN
        nodes: list[Node] = [
            Bridge(PIXELS, pixels, "batch.index"),
            Bridge(TARGET, target, "batch.index"),
            subject.role(seen),
        ]
        if self.shifted is not None:
            nodes.append(Bridge(SEEN, self.shifted, PIXELS))
        if self.student is not None:
            nodes.append(Role(STUDENT, self.student, reads=seen))
        update = Update(PIXELS, self.terms(subject), optimizer=self.optimizer, schedule=constant())
        return Stage(self.name, nodes, [update], measures={}, keeps=PIXELS)

    def first(self, subject: Subject, seed: int, rows: Tensor) -> Tensor:
        """What the images of these rows begin as."""
        noise = uniform_noise if self.start == "uniform" else gaussian_noise
        return noise(seed, rows.to(subject.device), subject.image_shape)

    @contextmanager
    def opened(self, subject: Subject, seed: int, work: Path) -> Iterator[Make]:
        """Play batches; the player of a batch size is kept for the next batch of that size."""
        modules = [] if self.student is None else [self.student]
        flags, homes = Flags(modules), Homes(modules)
        played: list[_Played] = []

        def make(wanted: Wanted) -> Made:
            if played and played[0].count != len(wanted.rows):
                played.pop().close()
            if not played:
                played.append(_Played(self, subject, wanted))
            with seeded(seed, "batch", int(wanted.rows[0])):
                return played[0].run(wanted, self.first(subject, seed, wanted.rows))

        try:
            homes.place(subject.device, channels_last=True)
            for module in modules:
                module.eval().requires_grad_(False)
            yield make
        finally:
            for one in played:
                one.close()
            flags.restore()
            homes.restore()


class _Played:
    """The stage of one batch size, opened, and its player."""

    def __init__(self, plan: Inversion, subject: Subject, wanted: Wanted) -> None:
        self.plan, self.subject, self.count = plan, subject, len(wanted.rows)
        device = subject.device
        self.pixels = Pixels(torch.zeros(self.count, *subject.image_shape, device=device))
        self.target = Given(_targets(wanted).probabilities.to(device))
        self.batch: Signals = {"batch.index": torch.arange(self.count, device=device)}
        stage = plan.stage(subject, self.pixels, self.target)
        self.wiring: Wiring = wire(stage, self.batch)
        for node in self.wiring.nodes:
            node.open([name for name in self.wiring.parts[node.name] if name])
        self.player = Player(
            self.wiring.updates[0],
            subject.platform,
            optimizer=plan.optimizer,
            schedule=constant(),
            steps=plan.steps,
            per_epoch=1,
            compile=plan.compile,
        )
        self.fresh = copy.deepcopy(self.player.state_dict())

    def run(self, wanted: Wanted, first: Tensor) -> Made:
        """All steps of a batch, from its first pixels (or from the batch before)."""
        start = first if wanted.before is None else wanted.before.to(first)
        targets = _targets(wanted)
        self.player.load_state_dict(copy.deepcopy(self.fresh))
        self.pixels.values.data = start.clone()
        self.target.values = targets.probabilities.to(first.device)
        leaving = Leaving(self.plan.tolerance, self.plan.temperature, self.pixels, self.target)
        kept = f"batches that were finished before image {int(wanted.rows[0])} are kept"
        self.player.kept = kept
        for step in range(self.plan.steps):
            self.player.play(self.batch, step=step, epoch=float(step), last=True, share=1.0)
            if self.plan.after is not None:
                with torch.no_grad():
                    here = targets.take(leaving.places.cpu())
                    self.plan.after(self.subject, self.pixels.values, here)
            if leaving.due(step + 1) and leaving.some(self.player, self.subject.module, step + 1):
                break
        self.player.meter.look(kept)
        self.player.meter.reset()
        return leaving.everyone(self.plan.steps)

    def close(self) -> None:
        """Leave no hook behind."""
        for node in self.wiring.nodes:
            node.close()


def _targets(wanted: Wanted) -> Targets:
    if wanted.targets is None:
        raise WiringError("synthesis", ["an inversion needs targets; draw them with `targets`"])
    return wanted.targets
