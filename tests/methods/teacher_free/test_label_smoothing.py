"""LSR: the objective by hand, defaults, what it refuses."""

import math

import pytest
import torch
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError
from stillhouse.methods import find_method, label_smoothing, plain


@pytest.mark.parametrize(
    ("off_target", "on", "off"), [("uniform", 0.7 + 0.1, 0.1), ("others", 0.7, 0.15)]
)
def test_the_objective_is_the_published_sum(
    off_target: str, on: float, off: float, train: Batches
) -> None:
    """Of three classes: 0.3 shared by three, or by two."""
    student, batch = tiny_net(4, 1).eval(), train.sample(8)
    stage = label_smoothing(student, smoothing=0.3, off_target=off_target, label_weight=0.5)
    signals = wire(stage, batch).seen
    value = sum(term.weight_at(0.0) * term.value(signals).item() for term in stage.terms())
    with torch.no_grad():
        rows = student(batch["batch.image"]).double().softmax(1).tolist()
    total = 0.0
    for p, y in zip(rows, batch["batch.label"].tolist(), strict=True):
        total -= sum((on if c == y else off) * math.log(p[c]) for c in range(3))
    assert value == pytest.approx(0.5 * total / len(rows), rel=1e-5)


def test_the_defaults_are_golden() -> None:
    """0.1, shared by all classes: torch's label smoothing."""
    stage = label_smoothing(tiny_net())
    (term,) = stage.terms()
    assert (term.loss.__name__, term.weight_at(0.0)) == ("smoothed_cross_entropy", 1.0)
    assert term.options == {"smoothing": 0.1, "off_target": "uniform"}
    assert (stage.measures, stage.keeps) == ({"student": "student.logits"}, "student")
    assert not find_method("label_smoothing").needs_teacher


def test_without_smoothing_it_is_plain_training(train: Batches, platform: Platform) -> None:
    mine, theirs = tiny_net(4, 1, dropout=0.3), tiny_net(4, 1, dropout=0.3)
    settings = Settings(epochs=2, seed=1)
    fit(label_smoothing(mine, smoothing=0.0), train, settings=settings, platform=platform)
    fit(plain(theirs), train, settings=settings, platform=platform)
    for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_all_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        label_smoothing(tiny_net(), smoothing=1.1, off_target="other", label_weight=-1.0)
    assert caught.value.problems == (
        "smoothing is 1.1; it must be at most 1",
        "off_target is 'other'; nearest: others",
        "label_weight is -1.0; it must be at least 0",
    )
