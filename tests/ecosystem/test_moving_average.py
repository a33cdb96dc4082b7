"""The moving average with its warm-up is that of timm, buffers included."""

import copy

import pytest
import torch
from torch import nn

from stillhouse.engine.nodes import Ema, Role

timm = pytest.importorskip("timm")
pytestmark = pytest.mark.ecosystem


@pytest.mark.parametrize("decay", [0.5, 0.999])
@pytest.mark.parametrize("warmup", [True, False])
def test_it_is_model_ema_v3(decay: float, warmup: bool) -> None:
    from timm.utils import ModelEmaV3

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    net(torch.randn(2, 3, 5, 5))
    mine = Ema("mean", Role("student", net), decay=decay, warmup=warmup)
    theirs = ModelEmaV3(copy.deepcopy(net), decay=decay, use_warmup=warmup)
    optimizer, steps = torch.optim.SGD(net.parameters(), 0.01), 12
    for step in range(steps):
        net(torch.randn(4, 3, 5, 5)).square().mean().backward()
        optimizer.step()
        # Theirs copies the network in its first step, warm or not; ours averages its start.
        kept = mine.kept(step / steps, (step + 1) / steps)
        mine.follow(0.0 if step == 0 else kept)
        theirs.update(net, step=step + 1)
    for name, value in theirs.module.state_dict().items():
        torch.testing.assert_close(mine.module.state_dict()[name], value, atol=1e-6, rtol=1e-5)
