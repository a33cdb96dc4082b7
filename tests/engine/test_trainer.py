"""The state of a trainer, losses that learn, layouts, and settings that cannot be."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.checkpoint import Checkpoint
from stillhouse.engine.fit import fit
from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Bridge, Ema, Role
from stillhouse.engine.optimisers import adamw, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.schedules import constant, one_cycle
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings, training
from stillhouse.errors import WiringError
from stillhouse.functional import cross_entropy
from stillhouse.methods import kd, plain

PLAIN = Settings(epochs=2, optimizer=sgd(0.1), schedule=constant(), channels_last=False)


class Scaled(nn.Module):
    """A loss with a scale that learns and a memory of the batches it saw in training."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, scores: Tensor, label: Tensor) -> Tensor:
        if self.training:
            self.seen += len(label)
        return F.cross_entropy(scores * self.scale, label, reduction="none")


def scaled_stage(seed: int = 1) -> tuple[Stage, Scaled]:
    role, loss = Role("student", tiny_net(4, seed, dropout=0.3)), Scaled()
    terms = [Term("label", loss, ["student.logits", "batch.label"], weight=0.7)]
    return Stage("scaled", [role, Ema("mean", role, decay=0.9)], [Update("student", terms)]), loss


def test_a_loss_with_parameters_learns_like_in_a_hand_written_loop(
    train: Batches, platform: Platform
) -> None:
    net, loss = tiny_net(4, 1), Scaled()
    mine, own = copy.deepcopy(net).train(), copy.deepcopy(loss)
    optimizer = torch.optim.SGD(
        [*mine.parameters(), *own.parameters()], 0.1, momentum=0.9, weight_decay=5e-4, fused=True
    )
    for epoch in range(2):
        for batch in train.epoch(epoch):
            (0.7 * own(mine(batch["batch.image"]), batch["batch.label"]).mean()).backward()
            optimizer.step()
            optimizer.zero_grad()
    term = Term("label", loss, ["student.logits", "batch.label"], weight=0.7)
    fit(
        Stage("s", [Role("student", net)], [Update("student", [term])]),
        train,
        settings=PLAIN,
        platform=platform,
    )
    assert loss.scale != 2
    assert loss.seen == 2 * len(train) * train.batch_size
    torch.testing.assert_close(loss.scale, own.scale)
    for a, b in zip(net.state_dict().values(), mine.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("optimizer", [sgd(0.1), adamw(0.01)])
def test_the_whole_state_goes_through_a_file(
    optimizer, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    """Stopped in the middle of an epoch, loaded into fresh models: the same end, to the bit."""
    settings = Settings(epochs=2, optimizer=optimizer, schedule=one_cycle(), seed=4)
    ends = []
    for stop in (None, 3):
        stage, loss = scaled_stage()
        checkpoint = Checkpoint(tmp_path / "state.pt", "x")
        if stop is not None:
            with training(stage, train, settings, platform) as trainer:
                for step in trainer.steps(0):
                    if step == stop:
                        break
                checkpoint.save(trainer.state_dict())
            stage, loss = scaled_stage(seed=9)
            with torch.no_grad():
                loss.scale.fill_(7)
        with training(stage, train, settings, platform) as trainer:
            if stop is not None:
                trainer.load_state_dict(checkpoint.load(torch.device("cpu")))
                assert loss.seen == stop * train.batch_size
            for epoch in range(2):
                for _ in trainer.steps(epoch, start=stop or 0 if epoch == 0 else 0):
                    pass
            trainer.look()
            ends.append(
                (trainer.objective.weights(), loss.state_dict(), trainer.steppers[0].means())
            )
    (whole, kept, means), (resumed, kept_again, means_again) = ends
    assert whole.keys() == resumed.keys() == {"student", "mean"}
    for node, weights in whole.items():
        for name, value in weights.items():
            assert torch.equal(value, resumed[node][name]), f"{node}.{name}"
    assert all(torch.equal(kept[name], kept_again[name]) for name in kept)
    assert means == means_again


def test_the_state_holds_what_changes_and_nothing_of_the_teacher(
    train: Batches, platform: Platform
) -> None:
    with training(kd(tiny_net(4, 1), tiny_net(6, 2)), train, PLAIN, platform) as trainer:
        state = trainer.state_dict()
        assert set(state["nodes"]) == {"student"}
        assert set(trainer.objective.weights()) == {"student"}
        trained = [
            p for group in trainer.steppers[0].optimizer.param_groups for p in group["params"]
        ]
        assert {id(p) for p in trained} == {
            id(p) for p in trainer.objective.wiring.stage.role("student").module.parameters()
        }


def test_what_the_user_tried_before_leaves_no_gradient(train: Batches, platform: Platform) -> None:
    fresh, tried = tiny_net(4, 1), tiny_net(4, 1)
    (1e3 * tried.eval()(torch.ones(2, 3, 8, 8)).sum()).backward()
    fit(plain(fresh), train, settings=PLAIN, platform=platform)
    fit(plain(tried), train, settings=PLAIN, platform=platform)
    assert torch.equal(fresh.fc.weight, tried.fc.weight)
    assert all(p.grad is None for p in tried.parameters())


def test_layouts_come_back(train: Batches, platform: Platform) -> None:
    nets = {"last": tiny_net(4, 1).to(memory_format=torch.channels_last), "plain": tiny_net(4, 2)}
    nets["grey"] = nn.Conv2d(1, 4, 3)  # one channel: its strides alone tell the layouts apart
    before = {name: [p.stride() for p in net.parameters()] for name, net in nets.items()}
    homes = Homes(nets.values())
    homes.place(torch.device("cpu"), channels_last=True)
    assert nets["plain"].conv.weight.stride() == nets["last"].conv.weight.stride()
    homes.restore()
    assert {name: [p.stride() for p in net.parameters()] for name, net in nets.items()} == before
    fit(kd(nets["plain"], nets["last"]), train, settings=Settings(epochs=1), platform=platform)
    for name in ("plain", "last"):
        assert [p.stride() for p in nets[name].parameters()] == before[name]


@pytest.mark.parametrize("narrow", [True, False])
def test_narrow_strided_convolutions_never_see_channels_last(
    narrow: bool, train: Batches, platform: Platform
) -> None:
    """Their weight gradient crashes in oneDNN, whatever the layout of the weights."""
    net = nn.Sequential(
        nn.Conv2d(3, 8 if narrow else 16, 3), nn.Conv2d(8 if narrow else 16, 4, 1, stride=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip
    net.to(memory_format=torch.channels_last)
    seen = set()
    net[1].register_forward_hook(
        lambda part, args, _: seen.add(
            (args[0].is_contiguous(), torch.is_grad_enabled() and part.weight.requires_grad)
        )
    )
    fit(plain(net), train, settings=Settings(epochs=1), platform=platform)
    assert (narrow, True) in seen
    assert (not narrow, True) not in seen


@pytest.mark.parametrize("name", ["epochs", "accumulate"])
def test_settings_that_cannot_be(name: str) -> None:
    with pytest.raises(WiringError, match=f"settings: {name} must be at least 1"):
        Settings(**{name: 0})


def test_more_micro_batches_than_batches(train: Batches, platform: Platform) -> None:
    with pytest.raises(WiringError, match=r"accumulate 6 is more than the 5 batches"):
        fit(plain(tiny_net()), train, settings=Settings(epochs=1, accumulate=6), platform=platform)


def test_a_learner_without_parameters(train: Batches, platform: Platform) -> None:
    double = Bridge("double", lambda x: 2 * x, "student.logits")
    term = Term("label", cross_entropy, ["double", "batch.label"])
    stage = Stage("s", [Role("student", tiny_net()), double], [Update("double", [term])])
    with pytest.raises(WiringError, match=r"no update trains 'student'.*\(trained: double\)"):
        fit(stage, train, settings=Settings(epochs=1), platform=platform)


def test_an_epoch_can_begin_at_any_step(train: Batches, platform: Platform) -> None:
    with training(plain(tiny_net()), train, Settings(accumulate=2), platform) as trainer:
        assert trainer.per_epoch == 2
        assert trainer.images_per_step == 16
        assert list(trainer.steps(0)) == [1, 2]
        assert list(trainer.steps(0, start=1)) == [2]
