"""A session: fresh for each batch, smaller on demand, and gone without a trace."""

import pytest
import torch
from tiny import GREY
from torch import Tensor, nn

from stillhouse.engine.nodes import Bridge
from stillhouse.engine.optimisers import adamw
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import NonFiniteLoss, WiringError
from stillhouse.synthesis.inputs import ConstantBatch, ParameterBatch
from stillhouse.synthesis.session import Session
from stillhouse.synthesis.teacher import frozen_teacher

BATCH = {"batch.index": torch.arange(6)}


def square(logits: Tensor) -> Tensor:
    return logits.square().mean(1)


def session_of(net: nn.Module, platform: Platform, pixels: nn.Module) -> Session:
    with frozen_teacher(net, GREY, platform) as teacher:
        nodes = [Bridge("pixels", pixels, "batch.index"), teacher.role("pixels")]
        update = Update("pixels", [Term("square", square, ["teacher.logits"])])
        stage = Stage("images", nodes, [update], measures={}, keeps="pixels")
        adam = adamw(0.1, weight_decay=0.0)
        return Session(stage, BATCH, platform, optimizer=adam, steps=5)


def start() -> Tensor:
    return torch.randn(6, *GREY, generator=torch.Generator().manual_seed(0))


def test_after_a_reset_a_batch_is_made_as_if_it_were_the_first(
    net: nn.Module, platform: Platform
) -> None:
    pixels, found = ParameterBatch(start()), []
    with session_of(net, platform, pixels) as session:
        for reset in (True, True, False):
            if reset:
                session.reset()
            pixels.values.data = start()
            for number in range(5):
                session.step(BATCH, number)
            session.finish()
            found.append(pixels.values.detach().clone())
    by_hand = start().requires_grad_()
    adam = torch.optim.Adam([by_hand], lr=0.1)
    for _ in range(5):
        adam.zero_grad()
        square(net.eval()(by_hand)).mean().backward()
        adam.step()
    assert torch.allclose(found[0], by_hand, atol=1e-5)
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[1], found[2]), "Adam goes on where nothing is reset"


def test_rows_are_kept_with_what_adam_remembers_of_them(net: nn.Module, platform: Platform) -> None:
    pixels, kept = ParameterBatch(start()), torch.tensor([0, 2, 5])
    with session_of(net, platform, pixels) as session:
        session.step(BATCH, 0)
        before = session.optimizer.state[pixels.values]["exp_avg"].clone()
        session.keep_rows(pixels.values, kept)
        after = session.optimizer.state[pixels.values]
        assert torch.equal(after["exp_avg"], before[kept])
        assert float(after["step"]) == 1
        moved = pixels.values.detach().clone()
        session.step(BATCH, 1)
        session.finish()
    assert pixels.values.shape == (3, *GREY)
    assert not torch.equal(pixels.values, moved)


def test_a_closed_session_leaves_no_hook(net: nn.Module, platform: Platform) -> None:
    head = net[-1]
    with frozen_teacher(net, GREY, platform) as teacher:
        pixels = ParameterBatch(start())
        nodes = [Bridge("pixels", pixels, "batch.index"), teacher.role("pixels")]
        update = Update("pixels", [Term("square", square, ["teacher.embedding"])])
        stage = Stage("images", nodes, [update], measures={}, keeps="pixels")
        adam = adamw(0.1, weight_decay=0.0)
        with Session(stage, BATCH, platform, optimizer=adam, steps=1):
            assert head._forward_pre_hooks or head._forward_hooks
        assert not head._forward_pre_hooks
        assert not head._forward_hooks


def test_what_cannot_be_stepped_is_said(net: nn.Module, platform: Platform) -> None:
    with pytest.raises(WiringError, match="nothing to learn"):
        session_of(net, platform, ConstantBatch(start()))
    pixels = ParameterBatch(start())
    with session_of(net, platform, pixels) as session:
        pixels.values.data = start() * float("nan")
        with pytest.raises(NonFiniteLoss, match="term 'square' is not finite at step 4"):
            session.step(BATCH, 4)
