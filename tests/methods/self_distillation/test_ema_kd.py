"""Self-distillation from a mean teacher: a hand-written loop, its ramp, its second product."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Ema
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import RecipeError
from stillhouse.methods import ema_kd

EPOCHS, T, WEIGHT, RAMP, DECAY = 4, 2.0, 1.5, 0.5, 0.9


def test_it_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    student = tiny_net(4, 1)
    net, mean = copy.deepcopy(student).train(), copy.deepcopy(student).eval()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    done = 0
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            logits = net(batch["batch.image"])
            with torch.no_grad():
                theirs = F.softmax(mean(batch["batch.image"]) / T, 1)
            soft = (theirs * (theirs.log() - F.log_softmax(logits / T, 1))).sum(1).mean() * T**2
            w = WEIGHT * min(done / (EPOCHS * len(train)) / RAMP, 1.0)
            (F.cross_entropy(logits, batch["batch.label"]) + w * soft).backward()
            optimizer.step()
            optimizer.zero_grad()
            done += 1
            now = net.state_dict()
            for name, value in mean.state_dict().items():
                kept = DECAY * value + (1 - DECAY) * now[name]
                value.copy_(kept if value.is_floating_point() else now[name])
    stage = ema_kd(student, decay=DECAY, temperature=T, weight=WEIGHT, ramp=RAMP)
    settings = Settings(EPOCHS, optimizer=sgd(0.1), schedule=constant(), channels_last=False)
    fit(stage, train, settings=settings, platform=platform)
    ema = stage.node("mean")
    assert isinstance(ema, Ema)
    for mine, theirs in ((student, net), (ema.module, mean)):
        pairs = zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True)
        for (name, a), b in pairs:
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=name)


def test_the_mean_is_measured_and_handed_over(train: Batches, platform: Platform) -> None:
    stage = ema_kd(tiny_net(4, 1))
    fitted = fit(stage, train, settings=Settings(2), platform=platform, validation=train)
    assert list(fitted.history[-1]["validation"]) == ["student", "mean"]
    made = stage.products["mean"]()
    fresh = tiny_net(4, 7)
    fresh.load_state_dict(fitted.last["mean"])
    image = train.sample()["batch.image"]
    assert torch.equal(made.eval()(image), fresh.eval()(image))
    with torch.no_grad():
        made.fc.weight.zero_()
    assert stage.role("mean").module.fc.weight.any(), "it shares nothing with the stage"


def test_no_ramp_is_the_whole_weight_at_once() -> None:
    for ramp, wanted in ((0.0, [3.0, 3.0]), (1.0, [0.0, 1.5])):
        term = list(ema_kd(tiny_net(), weight=3.0, ramp=ramp).terms())[1]
        assert [term.weight_at(epoch, 10.0) for epoch in (0.0, 5.0)] == wanted


def test_settings_out_of_range_are_told() -> None:
    with pytest.raises(RecipeError, match=r"decay is 1\.5; it must be at most 1"):
        ema_kd(tiny_net(), decay=1.5)
