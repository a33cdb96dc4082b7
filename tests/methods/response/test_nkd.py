"""NKD: the loop by hand, as the authors write it."""

from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_tiny
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.methods import nkd


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    """The published cross-entropy of the other classes has the gradient of our divergence."""
    _, _, z = of_tiny(nets["student"], batch)
    _, _, target = frozen(of_tiny, nets["teacher"], batch)
    total = 0.0
    for s, t, y in zip(z, target, batch["batch.label"].tolist(), strict=True):
        others = [c for c in range(len(s)) if c != y]
        total = total - t.softmax(0)[y] * s.log_softmax(0)[y]
        crossed = (t[others] / 3).softmax(0) * (s[others] / 3).log_softmax(0)
        total = total - 2.5 * 9 * crossed.sum()
    return 0.3 * labels(z, batch) + 0.8 * total / len(z)


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    settings = {"gamma": 2.5, "temperature": 3.0, "weight": 0.8, "label_weight": 0.3}
    stage = nkd(tiny_net(4, 1), tiny_net(6, 2), **settings)
    equals_by_hand(stage, train, objective, epochs=3, tolerance=(1e-4, 1e-4))
