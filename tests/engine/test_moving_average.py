"""The moving average of a student as a product: the mean by hand, and the student's bits."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Ema, Role
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import WiringError
from stillhouse.methods import plain
from stillhouse.recipes.average import AverageSection
from stillhouse.runs.job.averaging import NODE, averaged

SETTINGS = Settings(epochs=3, optimizer=sgd(0.2), checkpoint_seconds=0.0)


class Watching(NullObserver):
    """Keeps the weights of a network after each step; stops after so many."""

    def __init__(self, network: nn.Module, steps: int | None = None) -> None:
        self.network, self.left = network, steps
        self.seen: list[dict[str, Tensor]] = []

    def step(self, images: int) -> None:
        state = self.network.state_dict().items()
        self.seen.append({name: value.clone() for name, value in state})
        if self.left is not None and len(self.seen) == self.left:
            raise InterruptedError


def by_hand(seen: list[dict[str, Tensor]], start: dict[str, Tensor], section: AverageSection):
    """In float64, from the definition."""
    mean = {name: value.double() for name, value in start.items()}
    for number, weights in enumerate(seen, start=1):
        kept = section.decay
        if section.warmup:
            kept = min(kept, 1 - number ** (-2 / 3))
        for name, value in weights.items():
            follows = value.is_floating_point()
            mean[name] = kept * mean[name] + (1 - kept) * value.double() if follows else value
    return mean


@pytest.mark.parametrize("section", [AverageSection(decay=0.8), AverageSection(warmup=False)])
def test_it_is_the_mean_by_hand_and_moves_nobody(
    section: AverageSection, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"settings": SETTINGS, "platform": platform, "validation": train}
    net = tiny_net(4, 1)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    watching = Watching(net)
    fitted = fit(averaged(plain(net), section), train, observer=watching, **asked)
    assert len(watching.seen) == 3 * len(train)
    wanted, found = by_hand(watching.seen, start, section), fitted.last[NODE]
    assert found.keys() == wanted.keys()
    assert not torch.equal(found["bn.running_mean"], fitted.last["student"]["bn.running_mean"])
    for name, value in wanted.items():
        torch.testing.assert_close(found[name].double(), value.double(), atol=1e-6, rtol=1e-5)
    # Its scores are those of a network with these weights.
    fresh = tiny_net(4, 7)
    fresh.load_state_dict(found)
    (batch,) = train.once()
    right = fresh.eval()(batch["batch.image"]).argmax(1) == batch["batch.label"]
    scores = fitted.history[-1]["validation"]
    assert scores["moving average"]["accuracy"] == pytest.approx(right.float().mean().item())
    # Without it the student has the same bits; stopped and gone on, the average has.
    alone = fit(plain(tiny_net(4, 1)), train, **asked)
    asked |= {"directory": tmp_path, "identity": "one"}
    net = tiny_net(4, 1)
    with suppress(InterruptedError):
        stopping = Watching(net, len(train) + 2)
        fit(averaged(plain(net), section), train, observer=stopping, **asked)
    resumed = fit(averaged(plain(tiny_net(4, 1)), section), train, **asked)
    for name in start:
        assert torch.equal(alone.last["student"][name], fitted.last["student"][name])
        for node in ("student", NODE):
            assert torch.equal(resumed.last[node][name], fitted.last[node][name]), (node, name)


def test_a_warm_up_counts_steps() -> None:
    with pytest.raises(WiringError, match="warmup is of one that follows at each step"):
        Ema("mean", Role("student", nn.Linear(1, 1)), warmup=True, every=2)
    stage = averaged(plain(nn.Linear(4, 2)), AverageSection())
    with stage.open(torch.randn(4, 4), torch.tensor([0, 1, 0, 1])) as objective:
        with pytest.raises(WiringError, match="how much of it is done"):
            objective.after_step()
        objective.after_step(progress=0.5)
