"""Losses that remember each training row: its embeddings or predictions when it was last shown."""

import math

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import WiringError
from stillhouse.functional.embeddings import directions
from stillhouse.functional.numerics import without_autocast
from stillhouse.losses.negatives import Negatives


class MemoryContrast(nn.Module):
    """Two networks' embeddings of one image are told from those of images of other classes.

    ``-log h(i, i) - sum_n log(1 - h(i, n))``, with ``h(i, j) = e / (e + N / M)`` and ``e(i, j) =
    exp(v_i . m_j / temperature) / Z``, once with v the student's and m the teacher's remembered
    embeddings, and once the other way round; the sum of both. v and m have unit length (embeddings
    are divided by theirs here), M is the number of training rows, n runs over N rows drawn from
    other classes, the same for both. Z is M times the mean of the exponentials of the first batch,
    one for each of the two, and stays. In training mode ``m_i <- momentum * m_i + (1 - momentum) *
    v_i``, at unit length, after it was read.

    Both inputs are to learn, each by a linear map of its own: ``Term(..., through=True)``. Call it
    in eval mode to change nothing.

    Args:
        labels: [M] class indices of the training rows.
        width: of the embeddings. 128: the authors' code.
        negatives: N, at least 1. 16384: the same. Where some class has fewer rows of other classes
            they are drawn with replacement, for all classes; else without.
        temperature: above 0. 0.07: the same.
        momentum: in 0..1, what a memory keeps. 0.5: the same.
        seed: of the memory as it is before a row is seen. Negatives are drawn from torch's own
            generator.

    Shapes:
        student, teacher: [B, width]; index: [B] rows of the training table; returns [B], float32.
        Memory: ``8 * M * width`` bytes on the device and in each checkpoint (51 MB for CIFAR-100,
        1.3 GB for ImageNet); some B * M values in each step.

    Raises:
        WiringError: all rows have one label, so that there are no negatives; or a setting is out of
            its range.

    Paper: Tian et al., "Contrastive Representation Distillation", arXiv 1910.10699, equation 18.

    Differs from the authors' code: the same value up to rounding, in logarithms (there with 1e-7
        beside the denominators); an embedding of zeros is orthogonal to all (there: nan). There
        replacement is decided for each class. Of several processes all write into one memory, and
        each draws its own negatives; there it is made for one.

    >>> loss = MemoryContrast(torch.tensor([0, 1, 0, 1]), width=2, negatives=2).eval()
    >>> v = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> loss(v, v, torch.tensor([0, 1])).shape
    torch.Size([2])
    """

    student_memory: Tensor
    teacher_memory: Tensor
    log_z: Tensor

    def __init__(
        self,
        labels: Tensor,
        *,
        width: int = 128,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        problems = _problems(width, temperature, momentum)
        if problems:
            raise WiringError("MemoryContrast", problems)
        self.negatives = Negatives(labels, negatives)
        self.temperature = temperature
        self.momentum = momentum
        made = torch.Generator().manual_seed(seed)
        for name in ("student_memory", "teacher_memory"):
            spread = 2.0 * torch.rand(len(labels), width, generator=made) - 1.0
            self.register_buffer(name, spread * math.sqrt(3.0 / width))  # of mean square 1 / width
        unknown = torch.full((2,), math.nan)
        self.register_buffer("log_z", unknown)

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor) -> Tensor:
        """Contrast, then remember."""
        check_rows(index, self.negatives.rows)
        mine, theirs = directions(student), directions(teacher)
        drawn = self.negatives.draw(index)
        scores = self._scores(mine, self.teacher_memory), self._scores(theirs, self.student_memory)
        log_z = self._log_z([self._both(x.detach(), index, drawn) for x in scores])
        offset = math.log(self.negatives.count / self.negatives.rows)
        value = mine.new_zeros(len(mine))
        for x, z in zip(scores, log_z.unbind(), strict=True):
            positive, negative, times = self._both(x - z - offset, index, drawn)
            value = value + F.softplus(-positive) + (times * F.softplus(negative)).sum(1)
        if self.training:
            self._remember(mine.detach(), theirs.detach(), log_z, index)
        return value

    def _scores(self, vectors: Tensor, memory: Tensor) -> Tensor:
        """[B, M]; of a copy while training, since the memory changes before the backward pass."""
        memory = memory.clone() if self.training else memory
        with without_autocast(vectors.device):
            return vectors @ memory.T / self.temperature

    def _both(self, x: Tensor, index: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The values of the positives, [B], those of negatives, [B, K], and how often each counts.

        With replacement K is M: sums over how often give the same bits in whatever order they
        were drawn.
        """
        positive = x.gather(1, index[:, None])[:, 0]
        if not self.negatives.replaced:
            return positive, x.gather(1, drawn), x.new_ones(())
        times = torch.zeros_like(x).scatter_add_(1, drawn, torch.ones_like(drawn, dtype=x.dtype))
        return positive, x, times

    def _log_z(self, parts: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """The logarithm of Z of either side: as it was fixed, or of this batch, the first one."""
        means = []
        for positive, negative, times in parts:
            exponents = torch.cat([positive[:, None], negative + times.log()], dim=1)
            pairs = len(positive) * (self.negatives.count + 1)
            means.append(torch.logsumexp(exponents.flatten(), 0) - math.log(pairs))
        first = torch.stack(means) + math.log(self.negatives.rows)
        if self.training:
            of_each = of_all(first[None])
            first = of_each.logsumexp(0) - math.log(len(of_each))
        return torch.where(self.log_z.isnan(), first, self.log_z)

    @torch.no_grad()
    def _remember(self, mine: Tensor, theirs: Tensor, log_z: Tensor, index: Tensor) -> None:
        self.log_z.copy_(log_z)
        index = of_all(index)
        for memory, vectors in ((self.student_memory, mine), (self.teacher_memory, theirs)):
            mixed = self.momentum * memory[index] + (1.0 - self.momentum) * of_all(vectors)
            memory.index_copy_(0, index, directions(mixed))


class PastPredictions(nn.Module):
    """Cross-entropy with what the learner itself said of each example when it was last shown.

    ``-sum_c q(c) log softmax(z)_c``: q are its probabilities of then, and the hard label for an
    example that was not shown yet. In training mode its new probabilities take their place, after
    they were read. The memory is in buffers, so a checkpoint holds it; of several processes each
    holds that of all.

    Args:
        rows: of the training table.
        classes: of the logits. Memory: ``4 * rows * classes`` bytes on the device, and as many in
            each checkpoint: 20 MB for CIFAR-100, 5 GB for ImageNet.

    Shapes:
        student: [B, K] logits; label: [B] class indices; index: [B] rows; returns [B], float32.

    Paper: Kim et al., "Self-Knowledge Distillation with Progressive Refinement of Targets",
        arXiv 2006.12000: its past predictions, without their weight.

    Differs from the authors' code: not compared; of the weight, see `ps_kd`.

    >>> past = PastPredictions(rows=4, classes=2)
    >>> z, y, row = torch.tensor([[2.0, 0.0]]), torch.tensor([0]), torch.tensor([3])
    >>> [round(past(z, y, row).item(), 4) for _ in range(2)]
    [0.1269, 0.3653]
    """

    said: Tensor
    seen: Tensor

    def __init__(self, rows: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("said", torch.zeros(rows, classes))
        self.register_buffer("seen", torch.zeros(rows, dtype=torch.bool))

    def forward(self, student: Tensor, label: Tensor, index: Tensor) -> Tensor:
        """Read the targets, then remember."""
        check_rows(index, len(self.seen))
        log_p = F.log_softmax(student.float(), dim=1)
        hard = F.one_hot(label, log_p.shape[1]).to(log_p)
        target = torch.where(self.seen[index][:, None], self.said[index], hard)
        if self.training:
            self._remember(log_p.detach().exp(), index)
        return -(target * log_p.masked_fill(target == 0, 0.0)).sum(1)

    def _remember(self, said: Tensor, index: Tensor) -> None:
        said, index = of_all(said), of_all(index)
        self.said[index] = said
        self.seen[index] = True


def check_rows(index: Tensor, rows: int) -> None:
    """Refuse what names no rows of the training data: it would write over the memory of others.

    On an accelerator values are checked there, without waiting for it.

    Raises:
        WiringError: not int64 [B], or a row outside 0..rows-1.

    >>> check_rows(torch.tensor([0, 3]), 4)
    """
    if torch.compiler.is_compiling():
        return
    if not isinstance(index, Tensor) or index.dtype != torch.int64 or index.ndim != 1:
        kind = f"{index.dtype} {list(index.shape)}" if isinstance(index, Tensor) else type(index)
        said = f"'index' is the row of each image in the training data, int64 [B]; it is {kind}"
        raise WiringError("index", [said])
    outside = (index < 0) | (index >= rows)
    if index.device.type != "cpu":
        torch._assert_async(~outside.any())
    elif bool(outside.any()):
        wrong = int(index[outside][0])
        raise WiringError("index", [f"row {wrong} is none of the {rows} training rows, 0 to "
                                    f"{rows - 1}"])  # fmt: skip


def of_all(x: Tensor) -> Tensor:
    """The rows of all processes, in their order; with one process the rows as they are.

    A memory must be written with these: of the buffers of several processes only those of the
    first are kept, the others take them over before each step.

    Shapes:
        x: [B, ...]; returns [processes * B, ...].

    >>> of_all(torch.tensor([1, 2]))
    tensor([1, 2])
    """
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return x
    world = distributed.get_world_size()
    if world == 1:
        return x
    whole = x.new_empty(world * len(x), *x.shape[1:])
    distributed.all_gather_into_tensor(whole, x.contiguous())
    return whole


def _problems(width: int, temperature: float, momentum: float) -> list[str]:
    problems = []
    if width < 1:
        problems.append(f"width is {width}; it must be at least 1")
    if not temperature > 0:
        problems.append(f"temperature is {temperature}; it must be above 0")
    if not 0.0 <= momentum <= 1.0:
        problems.append(f"momentum is {momentum}; it must be in 0..1")
    return problems
