"""Token-level losses against loops in float64; the gradient of chunks."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from stillhouse.errors import WiringError
from stillhouse.functional import numerics
from stillhouse.functional.tokens import next_token_loss, token_divergence
from stillhouse.tasks import find_task


def drawn(vocabulary: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    label = torch.randint(0, vocabulary, (3, 5))
    label[0, 3:] = -100
    label[2, 1] = -100
    return torch.randn(3, 5, vocabulary), torch.randn(3, 5, vocabulary), label


def by_hand(student: Tensor, teacher: Tensor, label: Tensor, kind: str, b: float, t: float):
    """Mean over tokens, and the number of them, with Python's floats."""
    total, count = 0.0, 0
    for row, at in itertools.product(range(3), range(4)):
        if label[row, at + 1] == -100:
            continue
        p, q = ((z[row, at].double() / t).softmax(0).tolist() for z in (student, teacher))
        r = [(1 - b) * mine + b * theirs for mine, theirs in zip(p, q, strict=True)]

        def kl(first: list[float], second: list[float]) -> float:
            return sum(f * math.log(f / s) for f, s in zip(first, second, strict=True))

        total += {
            "forward_kl": kl(q, p),
            "reverse_kl": kl(p, q),
            "jsd": b * kl(q, r) + (1 - b) * kl(p, r),
        }[kind]
        count += 1
    return total / count, count


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
@pytest.mark.parametrize(("b", "t"), [(0.5, 1.0), (0.2, 2.0)])
def test_divergences_are_those_of_a_loop(kind: str, b: float, t: float) -> None:
    student, teacher, label = drawn()
    wanted, _ = by_hand(student, teacher, label, kind, b, t)
    found = token_divergence(student, teacher, label, kind=kind, beta=b, temperature=t)
    assert found.shape == (3,)
    assert found.mean().item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_in_pieces_value_and_gradient_are_those_of_the_whole(kind: str, monkeypatch) -> None:
    student, teacher, label = drawn(11)
    found = []
    for many, chunk in ((10_000, 2**22), (2, 33)):
        monkeypatch.setattr(numerics, "MANY", many)
        monkeypatch.setattr(numerics, "CHUNK", chunk)
        z = student.clone().requires_grad_()
        value = token_divergence(z, teacher, label, kind=kind).mean()
        value.backward()
        found.append((value.detach(), z.grad))
    assert torch.allclose(*(each[0] for each in found), rtol=1e-6)
    assert torch.allclose(*(each[1] for each in found), atol=1e-7)
    double = student.double().requires_grad_()
    plain = by_formula(double, teacher.double(), label, kind)
    (wanted,) = torch.autograd.grad(plain, double)
    assert torch.allclose(found[1][1].double(), wanted, atol=1e-6)
    assert (found[1][1][:, -1] == 0).all()


def by_formula(student: Tensor, teacher: Tensor, label: Tensor, kind: str) -> Tensor:
    p, q = (z[:, :-1].log_softmax(2) for z in (student, teacher))
    r = (0.5 * p.exp() + 0.5 * q.exp()).log()
    each = {
        "forward_kl": q.exp() * (q - p),
        "reverse_kl": p.exp() * (p - q),
        "jsd": 0.5 * q.exp() * (q - r) + 0.5 * p.exp() * (p - r),
    }[kind].sum(2)
    counts = label[:, 1:] != -100
    return each[counts].mean()


def test_the_jsd_jumps_at_its_ends_which_are_refused() -> None:
    student, teacher, label = drawn()
    near = token_divergence(student, teacher, label, kind="jsd", beta=1e-4).mean().item()
    whole = token_divergence(student, teacher, label, kind="forward_kl").mean().item()
    assert near == pytest.approx(1e-4 * whole, rel=0.05)
    with pytest.raises(WiringError, match="at the ends a JSD is 0"):
        token_divergence(student, teacher, label, kind="jsd", beta=0.0)
    with pytest.raises(WiringError, match="over one vocabulary"):
        token_divergence(student, teacher[..., :5], label)


def test_perplexity_and_the_loss_of_labels_are_means_over_tokens() -> None:
    student, _, label = drawn()
    logs = student[:, :-1].double().log_softmax(2)
    counts = label[:, 1:] != -100
    each = -logs.gather(2, label[:, 1:, None].clamp_min(0))[..., 0][counts]
    task = find_task("language_model")
    assert task.loss(student, label).mean().item() == pytest.approx(each.mean().item(), rel=1e-5)
    found = task.of_table(task.answers(student, label), None)["perplexity"]
    assert found == pytest.approx(math.exp(each.mean().item()), rel=1e-5)
    assert next_token_loss(student, label)[1].tolist() == counts.sum(1).tolist()
