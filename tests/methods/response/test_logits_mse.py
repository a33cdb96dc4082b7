"""Logit regression: by hand for some steps, its defaults, its limits."""

import copy

import pytest
import torch
import torch.nn.functional as F
from logit_loop import by_hand, close, settings
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.errors import RecipeError
from stillhouse.methods import logits_mse, plain


@pytest.mark.parametrize("label_weight", [0.0, 0.4])
def test_it_ends_as_a_hand_written_loop(
    label_weight: float, train: Batches, platform: Platform
) -> None:
    mine, teacher = tiny_net(4, 1), tiny_net(6, 2)
    theirs = copy.deepcopy(mine)
    stage = logits_mse(mine, teacher, weight=1.5, label_weight=label_weight)
    fit(stage, train, settings=settings(), platform=platform)

    def loss(student, target, image, label, _epoch):
        z = student(image)
        gap = ((z - target) ** 2).sum() / z.numel()
        return label_weight * F.cross_entropy(z, label) + 1.5 * gap

    by_hand(theirs, teacher, train, loss)
    close(mine, theirs)


def test_the_defaults_are_golden() -> None:
    """The logits alone, as in the paper; the labels are shown beside them at weight 0."""
    stage = logits_mse(tiny_net(), tiny_net())
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.options) for t in stage.terms()]
    assert known == [("label", "cross_entropy", 0.0, {}), ("logits", "mse", 1.0, {})]
    assert (stage.keeps, stage.learners) == ("student", ("student",))


def test_weight_0_is_plain_training(train: Batches, platform: Platform) -> None:
    mine, theirs = tiny_net(4, 1, dropout=0.3), tiny_net(4, 1, dropout=0.3)
    fit(
        logits_mse(mine, tiny_net(6, 2), weight=0.0, label_weight=1.0),
        train,
        settings=settings(),
        platform=platform,
    )
    fit(plain(theirs), train, settings=settings(), platform=platform)
    for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        logits_mse(tiny_net(), tiny_net(), weight=-1.0, label_weight=-0.5)
    assert len(caught.value.problems) == 2
