"""NKD: by hand for some steps, as the authors write it; its defaults, what it refuses."""

import copy

import pytest
import torch.nn.functional as F
from logit_loop import by_hand, close, settings
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.errors import RecipeError
from stillhouse.methods import nkd


def test_it_ends_as_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    """The published cross-entropy of the other classes has the gradient of our divergence."""
    mine, teacher = tiny_net(4, 1), tiny_net(6, 2)
    theirs = copy.deepcopy(mine)
    stage = nkd(mine, teacher, gamma=2.5, temperature=3.0, weight=0.8, label_weight=0.3)
    fit(stage, train, settings=settings(), platform=platform)

    def loss(student, target, image, label, _epoch):
        z, total = student(image), 0.0
        for s, t, y in zip(z, target, label.tolist(), strict=True):
            others = [c for c in range(len(s)) if c != y]
            total = total - t.softmax(0)[y] * s.log_softmax(0)[y]
            crossed = (t[others] / 3).softmax(0) * (s[others] / 3).log_softmax(0)
            total = total - 2.5 * 9 * crossed.sum()
        return 0.3 * F.cross_entropy(z, label) + 0.8 * total / len(z)

    by_hand(theirs, teacher, train, loss)
    close(mine, theirs)


def test_the_defaults_are_golden() -> None:
    """CE + the normalised loss at gamma 1.5 and T 1: the authors' ImageNet settings."""
    label, parts = nkd(tiny_net(), tiny_net()).terms()
    assert (label.name, label.weight_at(0.0)) == ("label", 1.0)
    assert (parts.name, parts.loss.__name__, parts.weight_at(0.0)) == ("nkd", "normalised_kl", 1.0)
    assert parts.options == {"gamma": 1.5, "temperature": 1.0}
    assert parts.reads == ("student.logits", "teacher.logits", "batch.label")


def test_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        nkd(tiny_net(), tiny_net(), gamma=-1.0, temperature=0.0)
    assert caught.value.problems == (
        "gamma is -1.0; it must be at least 0",
        "temperature is 0.0; it must be above 0",
    )
