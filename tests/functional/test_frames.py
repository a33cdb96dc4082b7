"""What fills up a frame counts for nothing, in terms whose losses know nothing of frames."""

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse import methods
from stillhouse.engine.filling import leave_out_frames
from stillhouse.engine.signals import CONTENT
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional import attention_gap, log_sum, mse, squared_distance

CONTENT_OF = torch.tensor([[1.0, 0.5], [0.45, 1.0], [1.0, 0.5]])
SEEN = ((5, 3), (3, 6), (5, 3))
"""Rows and columns of a grid of 5 x 6 by hand."""
READS = ["student.x", "teacher.x"]


def signals() -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(0)
    s, t = torch.randn(3, 4, 5, 6, generator=made), torch.randn(3, 4, 5, 6, generator=made)
    return {"student.x": s.requires_grad_(), "teacher.x": t, CONTENT: CONTENT_OF}


def framed(term: Term) -> Term:
    leave_out_frames(Stage("s", [], [Update("student", [term])]), ["batch.image", CONTENT])
    return term


def unit(x: np.ndarray) -> np.ndarray:
    attention = (x**2).mean(0)
    return attention / np.sqrt((attention**2).sum())


BY_HAND = {
    "mse": (mse, lambda s, t: ((s - t) ** 2).mean()),
    "squared_distance": (squared_distance, lambda s, t: ((s - t) ** 2).sum()),
    "attention_gap": (attention_gap, lambda s, t: ((unit(s) - unit(t)) ** 2).mean()),
}


def shown(given: dict[str, torch.Tensor]) -> list[list[np.ndarray]]:
    """Of each image its own part of both maps, in float64."""
    return [
        [given[name][at, :, :rows, :columns].detach().double().numpy() for name in READS]
        for at, (rows, columns) in enumerate(SEEN)
    ]


@pytest.mark.parametrize("name", BY_HAND)
def test_a_loss_of_rows_is_of_the_part_that_shows_the_image(name: str) -> None:
    loss, by_hand = BY_HAND[name]
    given = signals()
    value = framed(Term("gap", loss, READS, cropped=True)).value(given)
    wanted = [by_hand(*each) for each in shown(given)]
    assert value.item() == pytest.approx(np.mean(wanted), rel=1e-5)
    value.backward()
    slopes = given["student.x"].grad
    assert slopes is not None
    for slope, (rows, columns) in zip(slopes, SEEN, strict=True):
        assert slope[:, :rows, :columns].abs().min() > 0
        assert slope[:, rows:].abs().sum() == slope[:, :, columns:].abs().sum() == 0


def test_a_loss_of_a_whole_batch_is_of_all_positions_that_show_an_image() -> None:
    given = signals()
    value = framed(Term("gap", log_sum, READS, cropped=True, pooled=True)).value(given)
    total = sum((np.abs(s - t) ** 4).sum() for s, t in shown(given))
    assert value.item() == pytest.approx(np.log(total + 1e-5), rel=1e-5)


def test_without_frames_nothing_changes() -> None:
    given = signals()
    whole = Term("gap", mse, READS, cropped=True)
    leave_out_frames(Stage("s", [], [Update("student", [whole])]), ["batch.image"])
    assert whole.reads == tuple(READS)
    wanted = Term("gap", mse, READS).value(given)
    assert torch.equal(whole.value(given), wanted)
    full = given | {CONTENT: torch.ones(3, 2)}
    assert torch.equal(framed(Term("gap", mse, READS, cropped=True)).value(full), wanted)


def test_maps_of_two_sizes_are_refused() -> None:
    given = signals()
    given["teacher.x"] = given["teacher.x"][..., :3]
    with pytest.raises(WiringError, match="maps \\[B, C, H, W\\] of one size"):
        framed(Term("gap", mse, READS, cropped=True)).value(given)


@pytest.mark.parametrize("name", [
    "ab", "at", "cwd", "fgd", "fitnet", "ft", "mgd", "nst", "ofd", "pkd", "projector_logsum", "vid"
])  # fmt: skip
def test_every_method_of_maps_leaves_out_what_fills_a_frame_up(name: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    more = {"kd_weight": 0.0} if name == "projector_logsum" else {}
    stage = getattr(methods, name)(net, net, pairs=(("1", "1"),), **more)
    terms = [term for term in stage.terms() if term.name != "label"]
    assert terms
    assert all(term.framed or term.cropped for term in terms)
