"""The machinery of Fast-DFKD: a copy of a generator learns for one batch, the generator from it."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stillhouse.engine.checkpoint import Checkpoint
from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import DataError
from stillhouse.records.tensors import save_tensors
from stillhouse.synthesis.inputs import ConstantBatch, ParameterBatch, RandomShift
from stillhouse.synthesis.maker import Request
from stillhouse.synthesis.priors import MovingNormDistance
from stillhouse.synthesis.session import Session
from stillhouse.synthesis.student import STUDENT, STUDENT_FILE, VIEW, StudentTraining
from stillhouse.synthesis.teacher import TRIAL_IMAGES, FrozenTeacher

LATENT, IMAGES, TARGET = "latent", "images", "target"
BETAS = (0.5, 0.999)
"""Of Adam, for copies and for the generator: the released code of Fast-DFKD, as in DCGAN."""

MetaRule = Literal["fomaml", "reptile"]


class MetaGenerator:
    """The generator that every batch starts from, and how it learns from what became of its copy.

    Its gradient is the sum of all gradients that the copy has had ('fomaml'), or the way from the
    copy to it (``generator - copy``, 'reptile'); Adam makes the step of it.

    Args:
        generator: learns.
        rule: 'fomaml' or 'reptile'.
        lr: of Adam.

    >>> meta = MetaGenerator(nn.Linear(1, 1, bias=False), "fomaml", lr=0.1)
    >>> meta.start(); meta.copy(torch.ones(1)).backward(); meta.gather(); meta.gather()
    >>> meta.generator.weight.grad.item()
    2.0
    """

    def __init__(self, generator: nn.Module, rule: MetaRule, lr: float) -> None:
        self.generator, self.rule = generator, rule
        self.copy = copy.deepcopy(generator).train()
        self.optimizer = torch.optim.Adam(generator.parameters(), lr, betas=BETAS)

    def start(self) -> None:
        """The copy becomes what the generator is."""
        self.copy.load_state_dict(self.generator.state_dict())
        self.optimizer.zero_grad(set_to_none=True)

    def gather(self, *_: Any) -> None:
        """Called with the gradients of the copy, before each of its steps."""
        if self.rule == "fomaml":
            for mine, other in self._pairs():
                mine.grad = other.grad.clone() if mine.grad is None else mine.grad + other.grad

    def step(self) -> None:
        """The steps of the copy are made: one step of the generator."""
        if self.rule == "reptile":
            for mine, other in self._pairs():
                mine.grad = mine.detach() - other.detach()
        self.optimizer.step()

    def _pairs(self) -> Iterable[tuple[Any, Any]]:
        return zip(self.generator.parameters(), self.copy.parameters(), strict=True)


class BatchAdaptation:
    """Latent numbers and a copy of the generator learn together, for one batch.

    Args:
        teacher: sees what the copy makes.
        meta: where copies come from.
        student: sees the same, for terms that compare the two; it does not learn here.
        terms: what images are judged by: signals 'images', 'target', 'teacher.*', 'student.*'. The
            epoch that their weights may follow is the number of the batch.
        shift: what both see of the images; None: the images themselves.
        latent: how many numbers an image is made of.
        steps, lr_g, lr_z: updates of each batch; learning rates of copy and latent numbers.
    """

    def __init__(
        self,
        teacher: FrozenTeacher,
        meta: MetaGenerator,
        student: nn.Module,
        terms: Sequence[Term],
        shift: RandomShift | None,
        *,
        latent: int,
        steps: int,
        lr_g: float,
        lr_z: float,
    ) -> None:
        self.meta, self.steps = meta, steps
        device = teacher.device
        Homes([meta.copy]).place(device, channels_last=True)
        self.latent = ParameterBatch(torch.zeros(TRIAL_IMAGES, latent, device=device))
        self.target = ConstantBatch(torch.eye(teacher.classes, device=device)[[0] * TRIAL_IMAGES])
        nodes: list[Node] = [
            Bridge(LATENT, self.latent, "batch.index"),
            Bridge(TARGET, self.target, "batch.index"),
            Bridge(IMAGES, meta.copy, LATENT),
            Bridge(VIEW, shift or nn.Identity(), IMAGES),
            teacher.role(VIEW),
            Role(STUDENT, student, reads=VIEW),
        ]
        update = Update([LATENT, IMAGES], terms)
        self.session = Session(
            Stage("adaptation", nodes, [update], measures={}, keeps=IMAGES),
            self._batch(TRIAL_IMAGES),
            teacher.platform,
            optimizer=self._adam(lr_g, lr_z),
            steps=steps,
        )
        self.session.optimizer.register_step_pre_hook(meta.gather)

    def make(self, latent: Tensor, target: Tensor, *, number: int) -> Tensor:
        """All steps of a batch; gives its images, and the generator has learned from it.

        Args:
            latent: [B, D], what the numbers begin as.
            target: [B, K], what the teacher is to say.
            number: of the batch; weights of terms may depend on it.

        Raises:
            NonFiniteLoss: a term became nan or inf.
        """
        self.meta.start()
        self.meta.copy.train()
        self.session.reset()
        self.latent.values.data = latent.clone()
        self.target.values = target
        batch = self._batch(len(latent))
        for step in range(self.steps):
            self.session.step(batch, step, epoch=float(number))
        self.session.finish()
        self.meta.step()
        with torch.no_grad():
            images: Tensor = self.meta.copy(self.latent.values)
        return images

    def close(self) -> None:
        """Leave no hook behind."""
        self.session.close()

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


class AdaptationState:
    """The generator, the student, their optimisers and the averages, as they are between batches.

    ``before-ROW.pt`` is what the batch from that row on begins from. It is written before the rows
    before it are stored, and deleted when a later batch begins. So wherever a synthesis is killed,
    the file for the first row that is missing is there, and holds the same bits.

    Args:
        work: the folder.
        identity: whose files these are.
        meta, student, averages: what changes from batch to batch.
        device: where they are.
    """

    def __init__(
        self,
        work: Path,
        identity: str,
        meta: MetaGenerator,
        student: StudentTraining,
        averages: Sequence[MovingNormDistance],
        device: torch.device,
    ) -> None:
        self.work, self.identity, self.device = work, identity, device
        self.meta, self.student, self.averages = meta, student, averages
        self.row = 0

    def restore(self, request: Request) -> None:
        """Be where the batch of this request begins.

        Raises:
            DataError: that is not known, because rows in the middle were taken away.
        """
        first = request.first
        if self.row != first:
            state = self._file(first).load(self.device)
            if state is None or request.earlier is None:
                raise DataError(
                    f"each batch goes on from the one before, and {self.work} does not hold what "
                    f"the images from {first} on begin from; delete the directory and begin again"
                )
            self.load_state_dict(state)
            self.student.bank.add(request.earlier())
            self.row = first
        self.delete_files(but=[self._file(first).path])

    def save(self, row: int) -> None:
        """Write down what the batch from this row on begins from, and the student so far."""
        weights = self.student.module.state_dict()
        save_tensors(self.work / STUDENT_FILE, weights, {"role": STUDENT})
        self._file(row).save(self.state_dict())
        self.row = row

    def delete_files(self, but: Iterable[Path] = ()) -> None:
        """Delete what other batches began from: their images are stored."""
        for path in set(self.work.glob("before-*.pt")) - set(but):
            path.unlink()

    def state_dict(self) -> dict[str, Any]:
        """All that changes, without the images: those are stored with the rows."""
        return {
            "generator": self.meta.generator.state_dict(),
            "optimizer": self.meta.optimizer.state_dict(),
            "student": self.student.module.state_dict(),
            "student_session": self.student.session.state_dict(),
            "averages": [average.averages for average in self.averages],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self.meta.generator.load_state_dict(state["generator"])
        self.meta.optimizer.load_state_dict(state["optimizer"])
        self.student.module.load_state_dict(state["student"])
        self.student.session.load_state_dict(state["student_session"])
        for average, saved in zip(self.averages, state["averages"], strict=True):
            average.averages = saved

    def _file(self, row: int) -> Checkpoint:
        return Checkpoint(self.work / f"before-{row:08d}.pt", self.identity)
