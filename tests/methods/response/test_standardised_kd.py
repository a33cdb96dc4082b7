"""KD of standardised logits: by hand for some steps, its defaults, a head of zeros."""

import copy

import pytest
import torch
import torch.nn.functional as F
from logit_loop import RATE, by_hand, close, settings
from tiny import tiny_net

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.errors import RecipeError
from stillhouse.methods import plain, standardised_kd


def test_it_ends_as_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    mine, teacher = tiny_net(4, 1), tiny_net(6, 2)
    theirs = copy.deepcopy(mine)
    stage = standardised_kd(mine, teacher, temperature=3.0, weight=0.7, label_weight=0.3)
    fit(stage, train, settings=settings(), platform=platform)

    def scores(z):
        return (z - z.mean(1, keepdim=True)) / (z.std(1, keepdim=True) + 1e-7) / 3

    def loss(student, target, image, label, _epoch):
        z = student(image)
        apart = F.kl_div(scores(z).log_softmax(1), scores(target).softmax(1), reduction="batchmean")
        return 0.3 * F.cross_entropy(z, label) + 0.7 * 9 * apart

    by_hand(theirs, teacher, train, loss)
    close(mine, theirs, 1e-3)


def test_the_defaults_are_golden() -> None:
    """0.1 CE + 9 * 4 KL of z-scores at T = 2: the authors' CIFAR-100 command."""
    stage = standardised_kd(tiny_net(), tiny_net())
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.options) for t in stage.terms()]
    assert known == [
        ("label", "cross_entropy", 0.1, {}),
        ("kd", "standardised_kl", 9.0, {"temperature": 2.0}),
    ]


def test_a_head_of_zeros_begins_as_in_plain_training(table: ImageTable, platform: Platform) -> None:
    """Its logits are all equal: the labels make the first step, not a gradient of 1e7."""
    whole = Batches(table, Augment((0.5,) * 3, (0.25,) * 3), batch_size=len(table))
    mine, theirs = tiny_net(4, 1), tiny_net(4, 1)
    for net in (mine, theirs):
        torch.nn.init.zeros_(net.fc.weight)
        torch.nn.init.zeros_(net.fc.bias)
    slow = settings(epochs=1, optimizer=sgd(0.1 * RATE, momentum=0.0, weight_decay=0.0))
    fit(
        standardised_kd(mine, tiny_net(6, 2)), whole, settings=settings(epochs=1), platform=platform
    )
    fit(plain(theirs), whole, settings=slow, platform=platform)
    assert mine.fc.weight.any()
    close(mine, theirs, 1e-7)


def test_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        standardised_kd(tiny_net(), tiny_net(), weight=-1.0, temperature=0.0)
    assert len(caught.value.problems) == 2
