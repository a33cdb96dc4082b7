"""The student of a synthesis: trained beside the images that are made, and kept with them."""

import torch
from torch import Tensor, nn

from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.optimisers import adamw
from stillhouse.engine.seeding import seeded
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import kl
from stillhouse.models import build_model, weights_fingerprint
from stillhouse.models.given import copied
from stillhouse.synthesis.inputs import RandomShift
from stillhouse.synthesis.session import Session
from stillhouse.synthesis.teacher import FrozenTeacher

VIEW, STUDENT = "view", "student"
STUDENT_FILE = "student.safetensors"
"""Where its weights are kept, in the work folder."""


def new_student(student: str | nn.Module, teacher: FrozenTeacher, seed: int) -> nn.Module:
    """A copy of a module, or a fresh network of that name, that may be trained."""
    if isinstance(student, nn.Module):
        return copied(student, who="student")
    channels, height, _ = teacher.image_shape
    with seeded(seed, "network"):
        return build_model(student, classes=teacher.classes, channels=channels, size=height)


def student_identity(student: str | nn.Module) -> str:
    """What stands for a student in a description.

    >>> student_identity("lenet5_half")
    'lenet5_half'
    """
    return student if isinstance(student, str) else weights_fingerprint(student)


class ImageBank:
    """Images that were made so far, on the CPU; its room doubles when it is full.

    >>> bank = ImageBank()
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


class StudentTraining:
    """A student that learns from the teacher on images of a bank: KD alone, no labels.

    Between trainings it is frozen and in eval mode, so that images can be judged by it.

    Args:
        teacher: what it learns from.
        student: learns; the caller's own copy. It is the ``module`` of this object.
        shift: what both see of the images; None: the images themselves.
        steps: of one training.
        lr: of Adam, which goes on from one training to the next.
        temperature: of the KL.
        batch_size: images of a step, drawn from the bank with replacement.
    """

    def __init__(
        self,
        teacher: FrozenTeacher,
        student: nn.Module,
        shift: RandomShift | None,
        *,
        steps: int,
        lr: float,
        temperature: float,
        batch_size: int,
    ) -> None:
        self.module, self.steps, self.batch_size = student, steps, batch_size
        self.device = teacher.device
        self.bank = ImageBank()
        Homes([student]).place(teacher.device, channels_last=True)
        nodes: list[Node] = [
            Bridge(VIEW, shift or nn.Identity(), "batch.image"),
            teacher.role(VIEW),
            Role(STUDENT, student, reads=VIEW),
        ]
        reads = ["student.logits", "teacher.logits"]
        terms = [Term("kd", kl, reads, options={"temperature": temperature})]
        self.session = Session(
            Stage(STUDENT, nodes, [Update(STUDENT, terms)], measures={}),
            {"batch.image": teacher.noise_images()},
            teacher.platform,
            optimizer=adamw(lr, weight_decay=0.0),
            steps=steps,
        )
        self._parameters = [p for p in student.parameters() if p.requires_grad]
        self._learn(False)

    def run(self) -> None:
        """All steps of a training, on the images of the bank.

        Raises:
            NonFiniteLoss: the KL became nan or inf.
        """
        self._learn(True)
        for step in range(self.steps):
            rows = torch.randint(len(self.bank), (self.batch_size,))
            images = self.bank.take(rows).to(self.device)
            self.session.step({"batch.image": images}, step)
        self.session.finish()
        self._learn(False)

    def _learn(self, learning: bool) -> None:
        self.module.train(learning)
        for parameter in self._parameters:
            parameter.requires_grad_(learning)

    def close(self) -> None:
        """Leave no hook behind."""
        self.session.close()
