"""FSP: the loop by hand in phases and together, sizes and widths, what it refuses."""

import copy

import pytest
import torch
import torch.nn.functional as F
from by_hand import assert_close, fitted, looped, opened_stage, run, student_of
from torch import Tensor

from stillhouse.engine.facts import facts_of
from stillhouse.errors import RecipeError
from stillhouse.methods import fsp
from stillhouse.testing.toy import taught, toy_batches


def gram(early: Tensor, late: Tensor) -> Tensor:
    return torch.einsum("bchw,bdhw->bcd", F.avg_pool2d(early, 2), late) / (4 * 4)


@pytest.mark.parametrize("share", [0.0, 0.4])
@pytest.mark.parametrize("width", [4, 6])
def test_it_equals_a_hand_written_loop(share: float, width: int) -> None:
    student, teacher = student_of(4), taught(width).eval()
    stage = opened_stage(fsp(student, teacher, weight=3.0, init_share=share))
    mine, wide = copy.deepcopy(student), [stage.node(f"widened{n}").module for n in (1, 2)]
    assert [layer is None for layer in wide] == [width == 4] * 2
    widened = [copy.deepcopy(layer) for layer in wide]

    def losses(image: Tensor, label: Tensor, done: float) -> list[Tensor]:
        early, late, logits = run(mine, image)
        if width != 4:  # a 1x1 convolution and batch norm, at the student's size
            early, late = (w.norm(w.conv(x)) for w, x in zip(widened, (early, late), strict=True))
        with torch.no_grad():
            target = gram(*run(teacher, image)[:2])
        flows = 3.0 * F.mse_loss(gram(early, late), target)
        labels = F.cross_entropy(logits, label)
        if not share:
            return [flows + labels]
        return [flows + 0.0 * labels] if done < share else [0.0 * flows + labels]

    looped([[mine, *(layer for layer in widened if layer is not None)]], losses)
    fitted(stage)
    assert_close(student, mine)


def test_the_defaults_are_golden() -> None:
    """30 epochs of flows, then 240 of labels, as shares: the CIFAR-100 benchmark of CRD."""
    stage = opened_stage(fsp(student_of(4), taught(4)))
    at = {t.name: [t.weight_at(e, 240.0) for e in (0.0, 29.9, 30.0)] for t in stage.terms()}
    assert at == {"label": [0.0, 0.0, 1.0], "fsp1": [1.0, 1.0, 0.0]}
    assert [t.reads for t in stage.terms()][1] == ("student_flow1", "teacher_flow1")


def test_a_flow_needs_two_pairs() -> None:
    with pytest.raises(RecipeError, match="there is 1; name at least two pairs of taps"):
        fsp(student_of(4), taught(4), pairs=(("down", "down"),)).completed(facts_of(toy_batches()))
