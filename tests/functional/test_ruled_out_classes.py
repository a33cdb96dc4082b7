"""A class whose logit is -inf: every loss on logits against a float64 loop with ``0 log 0 = 0``."""

import math

import pytest
import torch
from torch import Tensor

from stillhouse.bridges.ensembles import mean_of_softmaxes
from stillhouse.bridges.heads import mixture
from stillhouse.errors import WiringError
from stillhouse.functional import (
    cross_entropy,
    decoupled_kl,
    inter_class_correlation,
    intra_class_correlation,
    kl,
    normalised_kl,
    smoothed_cross_entropy,
    standardised_kl,
    virtual_kl,
)
from stillhouse.functional.logits import ensemble_kl
from stillhouse.losses import PastPredictions
from stillhouse.models import Ensemble

INF = math.inf
STUDENT = [[0.5, -1.0, 2.0, 0.3], [1.0, 0.2, -0.7, 1.5]]
TEACHER = [[1.5, 0.5, -INF, 0.1], [0.4, -0.3, -INF, 2.0]]
LABEL = torch.tensor([0, 3])


def soft(z: list[float]) -> list[float]:
    total = sum(math.exp(each) for each in z)
    return [math.exp(each) / total for each in z]


def gap(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def plain(s: list[float], t: list[float], _label: int) -> float:
    return 16 * gap(soft([z / 4 for z in t]), soft([z / 4 for z in s]))


def standard(s: list[float], t: list[float], _label: int) -> float:
    def scaled(z: list[float]) -> list[float]:
        some = [each for each in z if each > -INF]
        mean = sum(some) / len(some)
        spread = math.sqrt(sum((each - mean) ** 2 for each in some) / (len(some) - 1))
        return [(each - mean) / spread / 2 for each in z]

    return 4 * gap(soft(scaled(t)), soft(scaled(s)))


def apart(s: list[float], t: list[float], label: int) -> tuple[list[float], list[float]]:
    others = [c for c in range(4) if c != label]
    return soft([s[c] for c in others]), soft([t[c] for c in others])


def decoupled(s: list[float], t: list[float], label: int) -> float:
    s, t = [z / 4 for z in s], [z / 4 for z in t]
    mine, theirs = soft(s)[label], soft(t)[label]
    others_s, others_t = apart(s, t, label)
    return 16 * (gap([theirs, 1 - theirs], [mine, 1 - mine]) + 8 * gap(others_t, others_s))


def normalised(s: list[float], t: list[float], label: int) -> float:
    others_s, others_t = apart(s, t, label)
    return -soft(t)[label] * math.log(soft(s)[label]) + 1.5 * gap(others_t, others_s)


LOSSES = {
    "kl": (lambda s, t: kl(s, t), plain),
    "standardised_kl": (lambda s, t: standardised_kl(s, t), standard),
    "decoupled_kl": (lambda s, t: decoupled_kl(s, t, LABEL), decoupled),
    "normalised_kl": (lambda s, t: normalised_kl(s, t, LABEL), normalised),
    "ensemble_kl": (lambda s, t: ensemble_kl(s, t[:, None], torch.ones(2, 1)), plain),
}


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_the_value_is_that_of_the_loop_and_the_gradient_is_finite(name: str, both: bool) -> None:
    loss, by_hand = LOSSES[name]
    rows = [[*row[:2], -INF, row[3]] for row in STUDENT] if both else STUDENT
    student = torch.tensor(rows, requires_grad=True)
    teacher = torch.tensor(TEACHER, requires_grad=True)
    value = loss(student, teacher)
    wanted = [by_hand(*three) for three in zip(rows, TEACHER, LABEL.tolist(), strict=True)]
    assert value.tolist() == pytest.approx(wanted, rel=1e-4)
    for gradient in torch.autograd.grad(value.sum(), [student, teacher]):
        assert gradient.isfinite().all()
    alone = loss(student.detach().requires_grad_(), teacher.detach())
    assert torch.equal(alone, value), "whether the teacher learns changes no value"


@pytest.mark.parametrize("loss", [kl, standardised_kl])
def test_what_only_the_student_rules_out_costs_infinitely_much(loss) -> None:
    assert loss(torch.tensor(TEACHER), torch.tensor(STUDENT)).tolist() == [INF, INF]


@pytest.mark.parametrize("loss", [inter_class_correlation, intra_class_correlation])
def test_a_correlation_sees_a_probability_of_0(loss) -> None:
    student = torch.tensor(STUDENT, requires_grad=True)
    value = loss(student, torch.tensor(TEACHER)).sum()
    assert value.isclose(loss(student, torch.tensor(TEACHER).clamp(min=-1e4)).sum())
    assert torch.autograd.grad(value, student)[0].isfinite().all()


def test_mixtures_of_networks_that_rule_out_the_same_class_learn() -> None:
    first, second = (torch.tensor(TEACHER, requires_grad=True) for _ in range(2))
    for mixed in (mean_of_softmaxes(first, second), mixture(0.5)(first, second)):
        assert mixed.exp()[:, 2].tolist() == [0, 0]
        assert mixed.exp().sum(1).tolist() == pytest.approx([1, 1])
        for gradient in torch.autograd.grad(
            kl(mixed, torch.tensor(TEACHER)).sum(), [first, second]
        ):
            assert gradient.isfinite().all()
    together = Ensemble([torch.nn.Identity(), torch.nn.Identity()])(torch.tensor(TEACHER))
    assert together["logits"].softmax(1)[0].tolist() == pytest.approx(soft(TEACHER[0]))


def test_a_memory_of_past_predictions_takes_them() -> None:
    memory, index = PastPredictions(2, 4), torch.arange(2)
    for _ in range(2):  # labels first, then what was said
        logits = torch.tensor(TEACHER, requires_grad=True)
        value = memory(logits, LABEL, index)
        assert value.isfinite().all()
        assert torch.autograd.grad(value.sum(), logits)[0].isfinite().all()


def one(*more: Tensor) -> list[Tensor]:
    return [torch.zeros(2, 1), *more]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        *[(lambda f=f: f(*one(torch.zeros(2, 1))), "it compares classes")
          for f in (kl, standardised_kl, inter_class_correlation, intra_class_correlation)],
        *[(lambda f=f: f(*one(LABEL)), "it compares classes")
          for f in (cross_entropy, smoothed_cross_entropy, virtual_kl)],
        *[(lambda f=f: f(*one(torch.zeros(2, 1), LABEL)), "it compares classes")
          for f in (decoupled_kl, normalised_kl)],
        *[(lambda f=f: f(torch.zeros(2, 4), torch.zeros(2, 6)),
           "the student tells 4 classes apart and the teacher 6")
          for f in (kl, standardised_kl, inter_class_correlation, intra_class_correlation)],
        *[(lambda f=f: f(torch.zeros(2, 4), torch.eye(4)[LABEL]),
           r"labels \[2, 4\] look one-hot .*label\.argmax\(1\)")
          for f in (cross_entropy, smoothed_cross_entropy, virtual_kl)],
        *[(lambda f=f: f(torch.zeros(2, 4), LABEL.float()),
           r"labels are float32 \[2\]; wanted are class indices, int64 \[2\]")
          for f in (cross_entropy, smoothed_cross_entropy, virtual_kl)],
        (lambda: decoupled_kl(torch.zeros(2, 4), torch.zeros(2, 4), LABEL.float()), "float32"),
        (lambda: cross_entropy(torch.zeros(2, 4), LABEL.int()), r"label\.long\(\)"),
    ],
)  # fmt: skip
def test_what_are_no_classes_is_told_in_a_sentence(call, said: str) -> None:
    with pytest.raises(WiringError, match=said):
        call()
