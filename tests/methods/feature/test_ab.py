"""Activation boundaries: the loop by hand, where the boundaries are heard."""

import pytest
from by_hand import EPOCHS, Batch, Nets, equals_by_hand, frozen, labels, of_toy
from torch import Tensor, nn

from stillhouse.methods import ab
from stillhouse.testing.toy import taught, toy_batches, untaught


def before(net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The toy network's maps before their ReLUs, and its logits."""
    first = net.bn(net.conv(batch["batch.image"]))
    second = net.down[1](net.down[0](first.relu()))
    return first, second, net.fc(net.drop(second.relu().mean((2, 3))))


def hinge(s: Tensor, t: Tensor) -> Tensor:
    """As printed: two cases, each with its own bound."""
    active = (s - 1) ** 2 * ((s <= 1) & (t > 0))
    silent = (s + 1) ** 2 * ((s > -1) & (t <= 0))
    return (active + silent).sum() / len(s)


@pytest.mark.parametrize("width", [4, 6])
def test_it_equals_a_loop_by_hand(width: int) -> None:
    connected = [] if width == 4 else ["connected1", "connected2"]

    def objective(nets: Nets, batch: Batch, epoch: float) -> Tensor:
        *maps, logits = before(nets["student"], batch)
        for at, name in enumerate(connected):
            maps[at] = nets[name].norm(nets[name].conv(maps[at]))
        *targets, _ = frozen(of_toy, nets["teacher"], batch)  # after their ReLUs: of equal sign
        gaps = [hinge(s, t) for s, t in zip(maps, targets, strict=True)]
        first = epoch / EPOCHS < 0.4
        boundaries = 2.0 * 3 / 1000 * (0.5 * gaps[0] + gaps[1])
        return boundaries * first + labels(logits, batch) * (not first)

    stage = ab(untaught(4), taught(width), weight=2.0, init_share=0.4)
    learning, tolerance = ["student", *connected], (2e-5, 2e-5)
    stage, _ = equals_by_hand(
        stage, toy_batches(), objective, learning=learning, tolerance=tolerance
    )
    assert stage.notes == {"pairs": "relu:in - relu:in, down.2:in - down.2:in"}


def test_each_layer_has_half_the_weight_of_the_next() -> None:
    """0.003, halved with each earlier layer, for 30 of 240 epochs: the benchmark of CRD."""
    taps = tuple((name, name) for name in ("conv", "bn", "down.1"))
    stage = ab(untaught(4), taught(4), pairs=taps)
    at = {t.name: [t.weight_at(e, 240.0) for e in (0.0, 29.9, 30.0)] for t in stage.terms()}
    assert at == {
        "label": [0.0, 0.0, 1.0],
        "ab1": [0.00075, 0.00075, 0.0],
        "ab2": [0.0015, 0.0015, 0.0],
        "ab3": [0.003, 0.003, 0.0],
    }
    together = ab(untaught(4), taught(4), pairs=taps, init_share=0.0)
    assert [t.weight_at(240.0, 240.0) for t in together.terms()] == [1.0, 0.00075, 0.0015, 0.003]
