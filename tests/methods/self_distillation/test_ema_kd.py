"""Self-distillation from a mean teacher: the loop by hand, its second product."""

from collections.abc import Iterator

import torch
from by_hand import EPOCHS, Batch, Nets, equals_by_hand, frozen, labels, of_tiny, softened, trained
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Ema
from stillhouse.methods import ema_kd

T, WEIGHT, RAMP, DECAY = 2.0, 1.5, 0.5, 0.9


def objective(nets: Nets, batch: Batch, epoch: float) -> Iterator[Tensor]:
    _, _, logits = of_tiny(nets["student"], batch)
    _, _, theirs = frozen(of_tiny, nets["mean"], batch)
    w = WEIGHT * min(epoch / EPOCHS / RAMP, 1.0)
    yield labels(logits, batch) + w * softened(logits, theirs, T)
    now = nets["student"].state_dict()
    for name, value in nets["mean"].state_dict().items():
        kept = DECAY * value + (1 - DECAY) * now[name]
        value.copy_(kept if value.is_floating_point() else now[name])


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    stage = ema_kd(tiny_net(4, 1), decay=DECAY, temperature=T, weight=WEIGHT, ramp=RAMP)
    stage, _ = equals_by_hand(stage, train, objective)
    assert isinstance(stage.node("mean"), Ema)


def test_the_mean_is_measured_and_handed_over(train: Batches) -> None:
    stage = ema_kd(tiny_net(4, 1))
    fitted = trained(stage, train, validation=train)
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
