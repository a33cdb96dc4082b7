"""The pupil: a student that is trained along, on the images that were made so far."""

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Playing
from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.optimisers import adamw, constant
from stillhouse.engine.player import Player
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.wiring import wire
from stillhouse.functional import kl
from stillhouse.synthesis.held import Shifted
from stillhouse.synthesis.subject import Subject

SEEN, STUDENT = "seen", "student"


class Bank:
    """Images that were made so far, on the CPU; its room doubles when it is full.

    >>> bank = Bank()
    >>> bank.add(torch.zeros(2, 1, 1, 1)); bank.add(torch.ones(1, 1, 1, 1))
    >>> len(bank), bank.take(torch.tensor([2, 0])).flatten().tolist()
    (3, [1.0, 0.0])
    """

    def __init__(self) -> None:
        self._room: Tensor | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, images: Tensor) -> None:
        """Take in images [B, C, H, W]."""
        held, count = self._room, self._count + len(images)
        if held is None or count > len(held):
            room = torch.empty(max(count, 2 * self._count), *images.shape[1:])
            if held is not None:
                room[: self._count] = held[: self._count]
            self._room = held = room
        held[self._count : count] = images
        self._count = count

    def take(self, rows: Tensor) -> Tensor:
        """These images."""
        if self._room is None:
            raise IndexError("the bank is empty")
        return self._room[rows]


class Pupil:
    """A student that learns from the teacher on images of a bank: KD alone, no labels.

    Args:
        subject: the teacher.
        student: learns; the caller's own copy.
        shifted: what both see of the images.
        steps: for each batch of new images.
        lr: of Adam.
        temperature: of the KL.
        batch_size: images of a step, drawn from the bank with replacement.
    """

    def __init__(
        self,
        subject: Subject,
        student: nn.Module,
        shifted: Shifted | None,
        *,
        steps: int,
        lr: float,
        temperature: float,
        batch_size: int,
    ) -> None:
        self.student, self.steps, self.batch_size = student, steps, batch_size
        self.device = subject.device
        self.bank = Bank()
        Homes([student]).place(subject.device, channels_last=True)
        nodes: list[Node] = [
            Bridge(SEEN, shifted or nn.Identity(), "batch.image"),
            subject.role(SEEN),
            Role(STUDENT, student, reads=SEEN),
        ]
        reads = ["student.logits", "teacher.logits"]
        terms = [Term("kd", kl, reads, options={"temperature": temperature})]
        stage = Stage("pupil", nodes, [Update(STUDENT, terms)], measures={})
        self.wiring = wire(stage, {"batch.image": subject.try_images()})
        for node in self.wiring.nodes:
            node.open([name for name in self.wiring.parts[node.name] if name])
        self.player = Player(
            self.wiring.updates[0],
            subject.platform,
            optimizer=adamw(lr, weight_decay=0.0),
            schedule=constant(),
            steps=steps,
            per_epoch=1,
        )
        self._playing = Playing([student])
        self._rest()

    def learn(self, kept: str) -> None:
        """Some steps on the images of the bank. The student is frozen before and after."""
        self.student.train()
        self._playing.enter([self.student])
        self.player.kept = kept
        for step in range(self.steps):
            rows = torch.randint(len(self.bank), (self.batch_size,))
            images = self.bank.take(rows).to(self.device)
            self.player.play({"batch.image": images}, step=step, epoch=0.0, last=True, share=1.0)
        self.player.meter.look(kept)
        self.player.meter.reset()
        self._rest()

    def _rest(self) -> None:
        self.student.eval()
        self._playing.enter([])

    def close(self) -> None:
        """Leave no hook behind."""
        for node in self.wiring.nodes:
            node.close()
