"""CRD: the loop by hand, resume, its defaults, what it refuses."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.seeding import seeded
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.errors import ModelError, RecipeError, WiringError
from stillhouse.methods import crd
from stillhouse.testing.method_trial import FitStopped, StopAtStep


def linear(name: str, width: int) -> nn.Linear:
    """As the engine starts the bridge of that name."""
    with seeded(7, "init", name):
        return nn.Linear(width, 16)


class Bank:
    """The memory by hand: two tables of rows, all rows of other classes are negatives."""

    def __init__(self, memories: list[Tensor], labels: Tensor) -> None:
        self.memories, self.labels, self.z = memories, labels, []

    def contrast(self, vectors: list[Tensor], index: Tensor) -> Tensor:
        rows, count = len(self.labels), len(self.labels) * 2 // 3
        other = self.labels[index][:, None] != self.labels
        first, total = not self.z, torch.zeros(())
        units = [F.normalize(v, dim=1) for v in vectors]
        for side in (0, 1):
            e = (units[side] @ self.memories[1 - side].T / 0.3).exp()
            own = e[torch.arange(len(index)), index]
            if first:
                mean = (own.sum() + (e * other).sum()) / (len(index) * (count + 1))
                self.z.append((mean * rows).item())
            h = e / self.z[side] / (e / self.z[side] + count / rows)
            hit = h[torch.arange(len(index)), index]
            total = total - (hit.log().sum() + ((1 - h).log() * other).sum()) / len(index)
        for side, found in enumerate(units):
            memory = self.memories[side].clone()
            memory[index] = F.normalize(0.5 * memory[index] + 0.5 * found.detach(), dim=1)
            self.memories[side] = memory
        return total


@pytest.fixture
def even(train: Batches) -> Batches:
    """Thirty-nine rows, thirteen of each class, so that all others are 26 for each."""
    table = train.table
    assert isinstance(table, ImageTable)
    return replace(train, table=ImageTable(table.images[:39], table.labels[:39]))


def test_it_is_the_loop_by_hand(
    even: Batches,
    platform: Platform,
    budget: Settings,
    by_hand: Callable[..., list[float]],
    same_weights: Callable[[nn.Module, nn.Module], None],
) -> None:
    """With all rows of other classes as negatives, whatever is drawn."""
    mine, theirs, teacher = tiny_net(4, 1), tiny_net(4, 1), tiny_net(6, 2)
    settings = {"width": 16, "negatives": 26, "contrast_temperature": 0.3, "weight": 0.2}
    stage = crd(mine, teacher, **settings).completed(facts_of(even))
    loss = contrast_of(stage)
    bank = Bank([loss.student_memory.clone(), loss.teacher_memory.clone()], even.table.labels)
    fit(stage, even, settings=budget, platform=platform)
    own, target = linear("embedded", 4), linear("target", 6)

    def relation(s: Tensor, t: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return 0.2 * bank.contrast([own(s), target(t)], batch["batch.index"])

    by_hand(theirs, teacher, relation, learning=[own, target], batches=even)
    same_weights(mine, theirs)
    same_weights(stage.node("embedded").module, own)
    same_weights(stage.node("target").module, target)
    torch.testing.assert_close(loss.student_memory, bank.memories[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss.teacher_memory, bank.memories[1], rtol=1e-4, atol=1e-5)
    assert loss.log_z.exp().tolist() == pytest.approx(bank.z, rel=1e-5)


def contrast_of(stage: Stage) -> nn.Module:
    (term,) = [term for term in stage.terms() if term.name == "contrast"]
    assert term.module is not None
    return term.module


@pytest.mark.parametrize("negatives", [10, 300])
def test_a_stopped_run_goes_on_with_the_bits_of_its_memory(
    negatives: int, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    settings = Settings(epochs=3, seed=3, checkpoint_seconds=0.0)

    def made() -> Stage:
        student, teacher = tiny_net(4, 1, dropout=0.2), tiny_net(6, 2)
        return crd(student, teacher, width=16, negatives=negatives).completed(facts_of(train))

    whole, stopped, resumed = made(), made(), made()
    fit(whole, train, settings=settings, platform=platform)
    with suppress(FitStopped):
        fit(
            stopped,
            train,
            settings=settings,
            platform=platform,
            directory=tmp_path,
            observer=StopAtStep(8),
        )
    going_on = StopAtStep(at=-1)
    fit(resumed, train, settings=settings, platform=platform, directory=tmp_path, observer=going_on)
    assert going_on.done == 7, "in the middle of the second epoch"
    for part in ("student", "embedded", "target"):
        mine, theirs = (stage.node(part).module.state_dict() for stage in (whole, resumed))
        for name, value in mine.items():
            assert torch.equal(value, theirs[name]), f"{part}.{name}"
    mine, theirs = (contrast_of(stage).state_dict() for stage in (whole, resumed))
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name
    assert not torch.equal(mine["student_memory"], contrast_of(made()).student_memory)


def test_the_memory_has_a_place_for_each_training_row(train: Batches) -> None:
    loss = contrast_of(crd(tiny_net(), tiny_net(), width=16).completed(facts_of(train)))
    assert loss.student_memory.shape == (40, 16)
    assert loss.negatives.replaced, "16384 of 26"
    other = contrast_of(
        crd(tiny_net(), tiny_net()).completed(facts_of(replace(train, order_seed=5)))
    )
    assert not torch.equal(other.student_memory[:, :16], loss.student_memory)


def test_the_defaults_are_golden(train: Batches) -> None:
    """CE + 0.8 CRD: 16384 negatives at 0.07, 128 dimensions, momentum 0.5."""
    stage = crd(tiny_net(), tiny_net()).completed(facts_of(train))
    known = [(t.name, t.weight_at(0.0), t.reads, t.through) for t in stage.terms()]
    assert known == [
        ("label", 1.0, ("student.logits", "batch.label"), False),
        ("contrast", 0.8, ("embedded", "target", "batch.index"), True),
    ]
    loss = contrast_of(stage)
    assert (loss.negatives.count, loss.temperature, loss.momentum) == (16384, 0.07, 0.5)
    assert stage.learners == ("student", "embedded", "target")
    with_kd = crd(tiny_net(), tiny_net(), kd_weight=1.0).completed(facts_of(train))
    assert [(t.name, t.weight_at(0.0), t.options) for t in with_kd.terms()][1] == (
        "kd",
        1.0,
        {"temperature": 4.0},
    )


def test_what_is_wrong_is_told(train: Batches) -> None:
    with pytest.raises(RecipeError) as caught:
        crd(tiny_net(), tiny_net(), negatives=0, contrast_temperature=0.0, momentum=1.5)
    assert caught.value.problems == (
        "negatives is 0; it must be at least 1",
        "contrast_temperature is 0.0; it must be above 0",
        "momentum is 1.5; it must be at most 1",
    )
    with pytest.raises(ModelError, match=r"head: .*fcc.*nearest: fc"):
        crd(tiny_net(), tiny_net(), head="fcc")
    table = ImageTable(train.table.images, torch.zeros(40, dtype=torch.long))
    with pytest.raises(WiringError, match="all 40 training rows have one label"):
        crd(tiny_net(), tiny_net()).completed(facts_of(replace(train, table=table)))
