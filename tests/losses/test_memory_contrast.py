"""The contrast with a memory against a loop in Python's own float64, written from the paper."""

import copy
import math

import pytest
import torch
from torch import Tensor

from stillhouse.errors import WiringError
from stillhouse.losses import MemoryContrast

Rows = list[list[float]]
LABELS = torch.arange(12) % 3
BATCHES = ([0, 1, 2, 5], [7, 3, 0, 8], [1, 2, 0, 11])
"""Rows of three steps; some are seen again."""
TEMPERATURE = 0.2


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def unit(row: list[float]) -> list[float]:
    length = math.hypot(*row)
    return [x / length for x in row]


class Naive:
    """CRD as equation 18 has it, and its memory, in lists of numbers."""

    def __init__(self, mine: Rows, theirs: Rows, temperature: float, momentum: float) -> None:
        self.memory = {"mine": mine, "theirs": theirs}
        self.z: dict[str, float] = {}
        self.temperature, self.momentum = temperature, momentum

    def step(self, mine: Rows, theirs: Rows, rows: list[int], negatives: Rows) -> list[float]:
        vectors = {"mine": [unit(v) for v in mine], "theirs": [unit(v) for v in theirs]}
        values = [0.0] * len(rows)
        for side, other in (("mine", "theirs"), ("theirs", "mine")):
            scores = [
                [self._exponential(v, self.memory[other][j]) for j in (row, *chosen)]
                for v, row, chosen in zip(vectors[side], rows, negatives, strict=True)
            ]
            size, count = len(self.memory[side]), len(scores[0]) - 1
            mean = math.fsum(map(math.fsum, scores)) / (len(scores) * (count + 1))
            z = self.z.setdefault(side, mean * size)
            for place, row in enumerate(scores):
                h = [e / z / (e / z + count / size) for e in row]
                values[place] -= math.log(h[0]) + math.fsum(math.log(1 - p) for p in h[1:])
        for side, found in vectors.items():
            for row, v in zip(rows, found, strict=True):
                mixed = [
                    self.momentum * m + (1 - self.momentum) * x
                    for m, x in zip(self.memory[side][row], v, strict=True)
                ]
                self.memory[side][row] = unit(mixed)
        return values

    def _exponential(self, v: list[float], m: list[float]) -> float:
        return math.exp(math.fsum(a * b for a, b in zip(v, m, strict=True)) / self.temperature)


def made(negatives: int = 5, momentum: float = 0.5, **changes: float) -> MemoryContrast:
    return MemoryContrast(
        LABELS,
        width=4,
        negatives=negatives,
        momentum=momentum,
        **{"temperature": TEMPERATURE, **changes},
    )


@pytest.mark.parametrize("negatives", [1, 5, 8, 9, 40])
@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_three_steps_equal_the_naive_loop(negatives: int, momentum: float) -> None:
    """Up to 8 negatives are drawn without replacement, more of them with it."""
    loss = made(negatives, momentum)
    mine, theirs = loss.student_memory.tolist(), loss.teacher_memory.tolist()
    naive = Naive(mine, theirs, TEMPERATURE, momentum)
    for step, rows in enumerate(BATCHES):
        index = torch.tensor(rows)
        torch.manual_seed(step)
        chosen = loss.negatives.draw(index).tolist()
        torch.manual_seed(step)
        student, teacher = 3.0 * drawn(step, 4, 4), drawn(10 + step, 4, 4)
        value = loss(student, teacher, index)
        wanted = naive.step(student.tolist(), teacher.tolist(), rows, chosen)
        assert value.tolist() == pytest.approx(wanted, rel=1e-5)
        assert loss.log_z.exp().tolist() == pytest.approx(list(naive.z.values()), rel=1e-5)
        for memory, known in ((loss.student_memory, "mine"), (loss.teacher_memory, "theirs")):
            torch.testing.assert_close(memory, torch.tensor(naive.memory[known]))


@pytest.mark.parametrize("negatives", [8, 40])
def test_gradients_are_those_of_the_printed_equation(negatives: int) -> None:
    """Both inputs learn; the memory is written before the backward pass and harms nothing."""
    loss = made(negatives)
    index = torch.tensor(BATCHES[0])
    loss(drawn(0, 4, 4), drawn(1, 4, 4), index)
    memories = loss.teacher_memory.double(), loss.student_memory.double()
    z, count = loss.log_z.double().exp(), negatives
    both = [drawn(n, 4, 4).requires_grad_() for n in (2, 3)]
    torch.manual_seed(1)
    chosen = torch.cat([index[:, None], loss.negatives.draw(index)], 1)
    torch.manual_seed(1)
    found = torch.autograd.grad(loss(*both, index).sum(), both)
    total = torch.zeros((), dtype=torch.float64)
    for x, memory, each in zip(both, memories, z, strict=True):
        v = torch.nn.functional.normalize(x.double(), dim=1)
        e = torch.einsum("bd,bkd->bk", v, memory[chosen]).div(TEMPERATURE).exp() / each
        h = e / (e + count / 12)
        total = total - h[:, 0].log().sum() - (1 - h[:, 1:]).log().sum()
    for gradient, wanted in zip(found, torch.autograd.grad(total, both), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)


def test_the_memory_and_z_are_written_in_training_mode_only() -> None:
    loss = made().eval()
    before = copy.deepcopy(loss.state_dict())
    inputs = drawn(0, 4, 4), drawn(1, 4, 4), torch.tensor(BATCHES[0])
    with torch.no_grad():
        assert loss(*inputs).isfinite().all()
    for name, value in loss.state_dict().items():
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num()), name
    loss.train()(*inputs)
    others = [row for row in range(12) if row not in BATCHES[0]]
    for name in ("student_memory", "teacher_memory"):
        assert torch.equal(getattr(loss, name)[others], before[name][others])
        lengths = getattr(loss, name)[BATCHES[0]].norm(dim=1)
        torch.testing.assert_close(lengths, torch.ones(4))


def test_z_is_fixed_by_the_first_batch() -> None:
    loss = made()
    loss(drawn(0, 4, 4), drawn(1, 4, 4), torch.tensor(BATCHES[0]))
    first = loss.log_z.clone()
    assert first.isfinite().all()
    loss(drawn(2, 4, 4), drawn(3, 4, 4), torch.tensor(BATCHES[1]))
    assert torch.equal(loss.log_z, first)


@pytest.mark.parametrize("negatives", [5, 40])
def test_a_state_that_was_loaded_goes_on_with_the_same_bits(negatives: int) -> None:
    whole, stopped = made(negatives), made(negatives)
    steps = [(drawn(n, 4, 4), drawn(10 + n, 4, 4), torch.tensor(b)) for n, b in enumerate(BATCHES)]
    values = []
    for seed, inputs in enumerate(steps):
        torch.manual_seed(seed)
        values.append(whole(*inputs))
    torch.manual_seed(0)
    stopped(*steps[0])
    again = made(negatives, seed=99)
    again.load_state_dict(stopped.state_dict())
    for seed in (1, 2):
        torch.manual_seed(seed)
        assert torch.equal(again(*steps[seed]), values[seed])
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_the_state_is_two_memories_and_two_numbers() -> None:
    shapes = {name: tuple(value.shape) for name, value in made().state_dict().items()}
    assert shapes == {"student_memory": (12, 4), "teacher_memory": (12, 4), "log_z": (2,)}


def test_memories_start_as_published_and_by_the_seed() -> None:
    """Uniform within 1 / sqrt(width / 3), so that rows have about unit length."""
    loss = MemoryContrast(torch.arange(4000) % 2, width=128, negatives=4)
    for memory in (loss.student_memory, loss.teacher_memory):
        assert memory.abs().max().item() == pytest.approx((3 / 128) ** 0.5, rel=1e-3)
        assert memory.mean().item() == pytest.approx(0.0, abs=1e-3)
        assert memory.norm(dim=1).mean().item() == pytest.approx(1.0, abs=1e-2)
    assert not torch.equal(loss.student_memory, loss.teacher_memory)
    assert torch.equal(made(seed=1).student_memory, made(seed=1).student_memory)
    assert not torch.equal(made(seed=1).student_memory, made(seed=2).student_memory)


def test_defaults_are_golden() -> None:
    loss = MemoryContrast(torch.arange(4) % 2)
    assert loss.student_memory.shape == (4, 128)
    assert (loss.negatives.count, loss.temperature, loss.momentum) == (16384, 0.07, 0.5)


def test_sharp_temperatures_stay_finite() -> None:
    loss = made(temperature=0.001)
    both = [drawn(n, 4, 4).requires_grad_() for n in (2, 3)]
    for rows in BATCHES:
        value = loss(*both, torch.tensor(rows))
        assert value.isfinite().all()
        assert all(g.isfinite().all() for g in torch.autograd.grad(value.sum(), both))


def test_what_is_wrong_is_told_at_once() -> None:
    with pytest.raises(WiringError) as caught:
        MemoryContrast(LABELS, width=0, temperature=0.0, momentum=1.5)
    assert caught.value.problems == (
        "width is 0; it must be at least 1",
        "temperature is 0.0; it must be above 0",
        "momentum is 1.5; it must be in 0..1",
    )
    with pytest.raises(WiringError, match="one label"):
        MemoryContrast(torch.zeros(5, dtype=torch.long))
