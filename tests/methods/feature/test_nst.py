"""Neuron selectivity transfer: the loop by hand, with all pairs of channels; defaults."""

import copy

import torch
import torch.nn.functional as F
from by_hand import assert_close, fitted, looped, opened_stage, run, student_of
from torch import Tensor

from stillhouse.methods import nst
from stillhouse.testing.toy import taught


def mmd(student: Tensor, teacher: Tensor) -> Tensor:
    def unit(x: Tensor) -> Tensor:
        return x.flatten(2) / x.flatten(2).norm(dim=2, keepdim=True).clamp(min=1e-12)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("bip,bjp->bij", a, b).square().mean()

    s, t = unit(student), unit(teacher)
    return kernel(s, s) + kernel(t, t) - 2 * kernel(s, t)


def test_it_equals_a_hand_written_loop() -> None:
    student, teacher = student_of(4), taught(6).eval()
    mine = copy.deepcopy(student)

    def losses(image: Tensor, label: Tensor, _done: float) -> list[Tensor]:
        *maps, logits = run(mine, image)
        with torch.no_grad():
            *targets, _ = run(teacher, image)
        gaps = [mmd(a, b) for a, b in zip(maps, targets, strict=True)]
        return [F.cross_entropy(logits, label) + 5.0 * sum(gaps)]

    looped([[mine]], losses)
    fitted(nst(student, teacher, weight=5.0))
    assert_close(student, mine)


def test_the_defaults_are_golden() -> None:
    """CE + 50 NST on the ends of the stages: the CIFAR-100 benchmark of CRD."""
    stage = opened_stage(nst(student_of(4), taught(6)))
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.reads) for t in stage.terms()]
    assert known == [
        ("label", "cross_entropy", 1.0, ("student.logits", "batch.label")),
        ("nst1", "selectivity_gap", 50.0, ("student_map1", "teacher_map1")),
        ("nst2", "selectivity_gap", 50.0, ("student_map2", "teacher_map2")),
    ]
    assert stage.learners == ("student",)
