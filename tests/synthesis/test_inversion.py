"""Impressions against the loop of the released code, written out by hand."""

from pathlib import Path

import torch
import torch.nn.functional as F
from tiny import GREY
from torch import Tensor, nn

from stillhouse.data.sources.synthesis import ROWS, present, read_file
from stillhouse.engine.platform import Platform
from stillhouse.synthesis import Maker, make_maker, synthesize
from stillhouse.synthesis.inputs import uniform_noise
from stillhouse.synthesis.maker import ImageBatch, Request
from stillhouse.synthesis.priors import target_kl
from stillhouse.synthesis.targets import Targets
from stillhouse.synthesis.teacher import frozen_teacher


def by_hand(net: nn.Module, targets: Tensor, *, steps: int, lr: float, tau: float) -> Tensor:
    """Batches of 100, each with an Adam of its own, on the mean cross-entropy."""
    net.eval()
    finished = []
    for rows in torch.arange(len(targets)).split(100):
        x = uniform_noise(0, rows, GREY).requires_grad_()
        adam = torch.optim.Adam([x], lr=lr)
        for _ in range(steps):
            logp = F.log_softmax(net(x) / tau, 1)
            loss = -(targets[rows] * logp).sum(1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        finished.append(x.detach())
    return torch.cat(finished)


def make(
    net: nn.Module, platform: Platform, maker: Maker, count: int
) -> tuple[ImageBatch, Targets]:
    with frozen_teacher(net, GREY, platform) as subject:
        targets = maker.targets(subject, count, 0)
        assert targets is not None
        with maker.opened(subject, 0, Path("unused")) as play:
            return play(Request(torch.arange(count), targets)), targets


def test_one_large_batch_gives_what_batches_of_100_give(net: nn.Module, platform: Platform) -> None:
    """Adam's epsilon is absolute: a mean over 300 instead of 100 would not pass."""
    maker = make_maker({"name": "zero_shot", "steps": 40, "lr": 0.05, "temperature": 5.0})
    made, targets = make(net, platform, maker, 300)
    wanted = by_hand(net, targets.probabilities, steps=40, lr=0.05, tau=5.0)
    assert torch.allclose(made.images, wanted, atol=2e-4)
    assert made.steps.tolist() == [40] * 300
    begun = target_kl(net(uniform_noise(0, torch.arange(300), GREY)), targets.probabilities,
                   temperature=5.0)  # fmt: skip
    ended = target_kl(net(made.images), targets.probabilities, temperature=5.0)
    assert ended.mean() < begun.mean() / 5


def test_the_batch_changes_nothing_but_rounding(net: nn.Module, tmp_path: Path) -> None:
    images = []
    for batch in (7, 40):
        method = {"name": "zero_shot", "steps": 20, "lr": 0.05, "batch": batch}
        out = tmp_path / str(batch)
        synthesize(net, method=method, count=40, image_shape=GREY, out=out, device="cpu")
        images.append(torch.cat([read_file(path)["image"] for path in present(out, ROWS).values()]))
    assert torch.allclose(*images, atol=1e-4)


def test_who_leaves_early_looks_as_in_the_whole_batch(net: nn.Module, platform: Platform) -> None:
    """Each image is what the exact form has at the step at which it left."""
    settings = {"name": "zero_shot", "steps": 200, "lr": 0.03, "temperature": 5.0}
    made, targets = make(net, platform, make_maker({**settings, "tolerance": 0.02}), 60)
    steps = made.steps.unique().tolist()
    assert len(steps) > 1, "they leave at several times"
    assert steps[0] < 200
    gap = target_kl(net(made.images), targets.probabilities, temperature=5.0)
    left = made.steps < 200
    assert bool((gap[left] <= 0.02 + 1e-6).all())
    for step in steps[:2]:
        exact, _ = make(net, platform, make_maker({**settings, "steps": step}), 60)
        mine = made.steps == step
        assert torch.allclose(made.images[mine], exact.images[mine], atol=1e-3)


def test_a_batch_that_everyone_left_ends(net: nn.Module, platform: Platform) -> None:
    method = {"name": "class_impressions", "steps": 100_000, "lr": 0.1, "tolerance": 0.5}
    made, _ = make(net, platform, make_maker(method), 12)
    assert int(made.steps.max()) < 2000
