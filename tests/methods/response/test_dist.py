"""DIST: by hand for some steps in both forms, its defaults, what it refuses."""

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
from stillhouse.methods import dist


def correlation(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.corrcoef(torch.stack([x, y]))[0, 1]


@pytest.mark.parametrize(("form", "scale"), [("paper", 1.0), ("code", 9.0)])
def test_it_ends_as_a_hand_written_loop(
    form: str, scale: float, train: Batches, platform: Platform
) -> None:
    mine, teacher = tiny_net(4, 1), tiny_net(6, 2)
    theirs = copy.deepcopy(mine)
    chosen = {"inter_weight": 1.2, "intra_weight": 0.7, "temperature": 3.0, "label_weight": 0.6}
    fit(dist(mine, teacher, form=form, **chosen), train, settings=settings(), platform=platform)

    def loss(student, target, image, label, _epoch):
        z = student(image)
        p, q = (z / 3).softmax(1), (target / 3).softmax(1)
        inter = sum(1 - correlation(a, b) for a, b in zip(p, q, strict=True)) / len(p)
        intra = sum(1 - correlation(a, b) for a, b in zip(p.T, q.T, strict=True)) / p.shape[1]
        return 0.6 * F.cross_entropy(z, label) + scale * (1.2 * inter + 0.7 * intra)

    by_hand(theirs, teacher, train, loss)
    close(mine, theirs, 1e-3)


def test_the_defaults_are_golden() -> None:
    """CE + 2 inter + 2 intra at T = 4, without T squared; with it in the form of the code."""
    stage = dist(tiny_net(), tiny_net())
    known = [(t.name, t.weight_at(0.0), t.options) for t in stage.terms()]
    soft = {"temperature": 4.0}
    assert known == [("label", 1.0, {}), ("inter", 2.0, soft), ("intra", 2.0, soft)]
    code = dist(tiny_net(), tiny_net(), form="code")
    assert [t.weight_at(0.0) for t in code.terms()] == [1.0, 32.0, 32.0]
    assert [t.loss.__name__ for t in stage.terms()] == [
        "cross_entropy",
        "inter_class_correlation",
        "intra_class_correlation",
    ]


def test_at_temperature_1_the_forms_are_one() -> None:
    weights = [
        [t.weight_at(0.0) for t in dist(tiny_net(), tiny_net(), form=form, temperature=1).terms()]
        for form in ("paper", "code")
    ]
    assert weights[0] == weights[1]


def test_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        dist(tiny_net(), tiny_net(), form="papre", inter_weight=-1.0, temperature=0.0)
    assert caught.value.problems == (
        "form is 'papre'; nearest: paper",
        "inter_weight is -1.0; it must be at least 0",
        "temperature is 0.0; it must be above 0",
    )
