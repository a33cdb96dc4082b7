"""Activation boundaries: the loop by hand, where the boundaries are heard, weights of layers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from by_hand import assert_close, fitted, looped, opened_stage, run, student_of
from torch import Tensor

from stillhouse.methods import ab
from stillhouse.testing.toy import ToyNet, taught


def before(net: ToyNet, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The toy network's maps before their ReLUs, and its logits."""
    first = net.bn(net.conv(image))
    second = net.down[1](net.down[0](first.relu()))
    return first, second, net.fc(net.drop(second.relu().mean((2, 3))))


def hinge(s: Tensor, t: Tensor) -> Tensor:
    """As printed: two cases, each with its own bound."""
    active = (s - 1) ** 2 * ((s <= 1) & (t > 0))
    silent = (s + 1) ** 2 * ((s > -1) & (t <= 0))
    return (active + silent).sum() / len(s)


@pytest.mark.parametrize("width", [4, 6])
def test_it_equals_a_hand_written_loop(width: int) -> None:
    student, teacher = student_of(4), taught(width).eval()
    stage = opened_stage(ab(student, teacher, weight=2.0, init_share=0.4))
    assert stage.notes == {"pairs": "relu:in - relu:in, down.2:in - down.2:in"}
    mine = copy.deepcopy(student)
    connectors = [copy.deepcopy(stage.node(f"connected{n}").module) for n in (1, 2)]

    def losses(image: Tensor, label: Tensor, done: float) -> list[Tensor]:
        *maps, logits = before(mine, image)
        if width != 4:
            maps = [c.norm(c.conv(x)) for c, x in zip(connectors, maps, strict=True)]
        with torch.no_grad():
            *targets, _ = run(teacher, image)  # after their ReLUs: the sign is the same
        gaps = [hinge(s, t) for s, t in zip(maps, targets, strict=True)]
        boundaries = 2.0 * 3 / 1000 * (0.5 * gaps[0] + gaps[1])
        labels = F.cross_entropy(logits, label)
        return [boundaries + 0.0 * labels] if done < 0.4 else [0.0 * boundaries + labels]

    looped([[mine, *(c for c in connectors if c is not None)]], losses)
    fitted(stage)
    assert_close(student, mine)


def test_the_defaults_are_golden() -> None:
    """0.003, halved with each earlier layer, for 30 of 240 epochs: the benchmark of CRD."""
    taps = tuple((name, name) for name in ("conv", "bn", "down.1"))
    stage = opened_stage(ab(student_of(4), taught(4), pairs=taps))
    at = {t.name: [t.weight_at(e, 240.0) for e in (0.0, 29.9, 30.0)] for t in stage.terms()}
    assert at == {
        "label": [0.0, 0.0, 1.0],
        "ab1": [0.00075, 0.00075, 0.0],
        "ab2": [0.0015, 0.0015, 0.0],
        "ab3": [0.003, 0.003, 0.0],
    }
    assert [t.options for t in stage.terms()][1:] == [{"margin": 1.0}] * 3
    together = ab(student_of(4), taught(4), pairs=taps, init_share=0.0)
    assert [t.weight_at(240.0, 240.0) for t in together.terms()] == [1.0, 0.00075, 0.0015, 0.003]
