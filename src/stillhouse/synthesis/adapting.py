"""Adapting: a copy of a generator and latent numbers learn for one batch."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.optimisers import constant
from stillhouse.engine.player import Player
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.wiring import wire
from stillhouse.synthesis.held import Given, Pixels, Shifted
from stillhouse.synthesis.origin import BETAS, Origin
from stillhouse.synthesis.subject import TRIED, Subject

LATENT, MADE, SEEN, TARGET, STUDENT = "latent", "made", "seen", "target", "student"


class Adapting:
    """The stage of a batch, opened, and its player: latent numbers and the copy learn together.

    Args:
        subject: the teacher, which sees what the copy makes.
        origin: where copies come from.
        student: sees the same, for terms that compare the two; it does not learn here.
        terms: what images are judged by: signals 'made', 'target', 'teacher.*', 'student.*'.
        shifted: what both see of the images.
        latent: how many numbers an image is made of.
        steps, lr_g, lr_z: updates of each batch; learning rates of copy and latent numbers.
    """

    def __init__(
        self,
        subject: Subject,
        origin: Origin,
        student: nn.Module,
        terms: Sequence[Term],
        shifted: Shifted | None,
        *,
        latent: int,
        steps: int,
        lr_g: float,
        lr_z: float,
    ) -> None:
        self.origin, self.steps = origin, steps
        device = subject.device
        Homes([origin.copy]).place(device, channels_last=True)
        self.latent = Pixels(torch.zeros(TRIED, latent, device=device))
        self.target = Given(torch.eye(subject.classes, device=device)[[0] * TRIED])
        nodes: list[Node] = [
            Bridge(LATENT, self.latent, "batch.index"),
            Bridge(TARGET, self.target, "batch.index"),
            Bridge(MADE, origin.copy, LATENT),
            Bridge(SEEN, shifted or nn.Identity(), MADE),
            subject.role(SEEN),
            Role(STUDENT, student, reads=SEEN),
        ]
        adam = self._adam(lr_g, lr_z)
        update = Update([LATENT, MADE], terms, optimizer=adam, schedule=constant())
        stage = Stage("adapting", nodes, [update], measures={}, keeps=MADE)
        self.wiring = wire(stage, self._batch(TRIED))
        for node in self.wiring.nodes:
            node.open([name for name in self.wiring.parts[node.name] if name])
        self.player = Player(
            self.wiring.updates[0],
            subject.platform,
            optimizer=adam,
            schedule=constant(),
            steps=steps,
            per_epoch=1,
        )
        self.player.optimizer.register_step_pre_hook(origin.gather)
        self._fresh = copy.deepcopy(self.player.state_dict())

    def make(self, latent: Tensor, target: Tensor, *, number: int, kept: str) -> Tensor:
        """All steps of a batch; gives its images, and the origin has learned from it.

        Args:
            latent: [B, D], what the numbers begin as.
            target: [B, K], what the teacher is to say.
            number: of the batch; weights of terms may depend on it.
            kept: what is kept when a term is not finite.
        """
        self.origin.begin()
        self.origin.copy.train()
        self.player.load_state_dict(copy.deepcopy(self._fresh))
        self.player.kept = kept
        self.latent.values.data = latent.clone()
        self.target.values = target
        batch = self._batch(len(latent))
        for step in range(self.steps):
            self.player.play(batch, step=step, epoch=float(number), last=True, share=1.0)
        self.player.meter.look(kept)
        self.player.meter.reset()
        self.origin.learn()
        with torch.no_grad():
            images: Tensor = self.origin.copy(self.latent.values)
        return images

    def close(self) -> None:
        """Leave no hook behind."""
        for node in self.wiring.nodes:
            node.close()

    def _batch(self, size: int) -> Signals:
        return {"batch.index": torch.arange(size, device=self.latent.values.device)}

    def _adam(self, lr_g: float, lr_z: float) -> Callable[..., torch.optim.Optimizer]:
        """One Adam with a learning rate for the latent numbers and one for all else."""

        def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            values = self.latent.values
            rest = [p for p in parameters if p is not values]
            groups: list[dict[str, Any]] = [{"params": rest}, {"params": [values], "lr": lr_z}]
            return torch.optim.Adam(groups, lr=lr_g, betas=BETAS)

        return make
