"""KD of standardised logits: the loop by hand, and a head of zeros."""

import torch
import torch.nn.functional as F
from by_hand import RATE, Batch, Nets, equals_by_hand, frozen, labels, of_tiny, same, trained
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.optimisers import sgd
from stillhouse.methods import plain, standardised_kd


def scores(z: Tensor) -> Tensor:
    return (z - z.mean(1, keepdim=True)) / (z.std(1, keepdim=True) + 1e-7) / 3


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    _, _, z = of_tiny(nets["student"], batch)
    _, _, target = frozen(of_tiny, nets["teacher"], batch)
    apart = F.kl_div(scores(z).log_softmax(1), scores(target).softmax(1), reduction="batchmean")
    return 0.3 * labels(z, batch) + 0.7 * 9 * apart


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    settings = {"temperature": 3.0, "weight": 0.7, "label_weight": 0.3}
    stage = standardised_kd(tiny_net(4, 1), tiny_net(6, 2), **settings)
    equals_by_hand(stage, train, objective, epochs=3, tolerance=(1e-3, 1e-3))


def test_a_head_of_zeros_begins_as_in_plain_training(table: ImageTable) -> None:
    """Its logits are all equal: the labels make the first step, not a gradient of 1e7."""
    whole = Batches(table, Augment((0.5,) * 3, (0.25,) * 3), batch_size=len(table))
    mine, theirs = tiny_net(4, 1), tiny_net(4, 1)
    for net in (mine, theirs):
        torch.nn.init.zeros_(net.fc.weight)
        torch.nn.init.zeros_(net.fc.bias)
    fast, slow = (sgd(rate, momentum=0.0, weight_decay=0.0) for rate in (RATE, 0.1 * RATE))
    trained(standardised_kd(mine, tiny_net(6, 2)), whole, epochs=1, optimizer=fast)
    trained(plain(theirs), whole, epochs=1, optimizer=slow)
    assert mine.fc.weight.any()
    same(mine, theirs, 1e-7, 1e-7)
