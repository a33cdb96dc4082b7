"""The memory of past predictions: what it reads, when it writes, what a checkpoint holds."""

import torch
import torch.nn.functional as F

from stillhouse.losses import PastPredictions


def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(4, 3), torch.randint(3, (4,)), torch.randperm(6)[:4]


def test_it_equals_a_naive_memory() -> None:
    past, said = PastPredictions(6, 3), {}
    for seed in range(5):
        logits, label, index = draw(seed)
        wanted = []
        for z, y, row in zip(logits.double(), label.tolist(), index.tolist(), strict=True):
            p = z.exp() / z.exp().sum()
            target = said.get(row, torch.eye(3, dtype=torch.float64)[y])
            wanted.append(-(target * p.log()).sum())
            said[row] = p
        value = past(logits, label, index)
        torch.testing.assert_close(value, torch.stack(wanted).float(), atol=1e-6, rtol=1e-6)
    assert past.seen.tolist() == [row in said for row in range(6)]


def test_it_remembers_in_training_mode_only() -> None:
    past, (logits, label, index) = PastPredictions(6, 3).eval(), draw(0)
    for _ in range(2):
        hard = F.cross_entropy(logits, label, reduction="none")
        torch.testing.assert_close(past(logits, label, index), hard)
    assert not past.seen.any()


def test_the_learner_learns_and_the_memory_does_not() -> None:
    past, (logits, label, index) = PastPredictions(6, 3), draw(0)
    past(logits, label, index)
    again = draw(1)[0].requires_grad_()
    past(again, label, index).sum().backward()
    torch.testing.assert_close(again.grad, again.softmax(1).detach() - logits.softmax(1))
    assert not list(past.parameters())
    assert not past.said.requires_grad


def test_half_precision_is_remembered_in_full() -> None:
    past, (logits, label, index) = PastPredictions(6, 3), draw(0)
    value = past(logits.bfloat16(), label, index)
    assert (value.dtype, past.said.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(past.said[index], logits.bfloat16().float().softmax(1))


def test_a_state_dict_is_the_whole_memory() -> None:
    past, other, (logits, label, index) = PastPredictions(6, 3), PastPredictions(6, 3), draw(0)
    past(logits, label, index)
    other.load_state_dict(past.state_dict())
    assert torch.equal(past(*draw(1)), other(*draw(1)))
