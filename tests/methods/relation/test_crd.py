"""CRD: the loop by hand, resume, its memory."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, modules, of_tiny, same
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.errors import WiringError
from stillhouse.methods import crd
from stillhouse.testing.method_trial import FitStopped, StopAtStep


class Bank:
    """The memory by hand: two tables of rows, all rows of other classes are negatives."""

    def __init__(self, kept: nn.Module, labels: Tensor) -> None:
        self.kept, self.labels = kept, labels

    def contrast(self, vectors: list[Tensor], index: Tensor) -> Tensor:
        memories = [self.kept.student_memory.clone(), self.kept.teacher_memory.clone()]
        rows, count = len(self.labels), len(self.labels) * 2 // 3
        other = self.labels[index][:, None] != self.labels
        total = torch.zeros(())
        units = [F.normalize(v, dim=1) for v in vectors]
        for side in (0, 1):
            e = (units[side] @ memories[1 - side].T / 0.3).exp()
            own = e[torch.arange(len(index)), index]
            if self.kept.log_z[side].isnan():
                mean = (own.sum() + (e * other).sum()) / (len(index) * (count + 1))
                self.kept.log_z[side] = (mean * rows).log().item()
            z = self.kept.log_z[side].exp()
            h = e / z / (e / z + count / rows)
            hit = h[torch.arange(len(index)), index]
            total = total - (hit.log().sum() + ((1 - h).log() * other).sum()) / len(index)
        for memory, found in zip(
            (self.kept.student_memory, self.kept.teacher_memory), units, strict=True
        ):
            memory[index] = F.normalize(0.5 * memory[index] + 0.5 * found.detach(), dim=1)
        return total


@pytest.fixture
def even(train: Batches) -> Batches:
    """Thirty-nine rows, thirteen of each class, so that all others are 26 for each."""
    table = train.table
    assert isinstance(table, ImageTable)
    return replace(train, table=ImageTable(table.images[:39], table.labels[:39]))


def test_it_equals_a_loop_by_hand(even: Batches) -> None:
    """With all rows of other classes as negatives, whatever is drawn; the memory too."""
    settings = {"width": 16, "negatives": 26, "contrast_temperature": 0.3, "weight": 0.2}

    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        _, mine, logits = of_tiny(nets["student"], batch)
        _, theirs, _ = frozen(of_tiny, nets["teacher"], batch)
        vectors = [nets["embedded"](mine), nets["target"](theirs)]
        contrast = Bank(nets["contrast"], even.table.labels).contrast(vectors, batch["batch.index"])
        return labels(logits, batch) + 0.2 * contrast

    stage = crd(tiny_net(4, 1), tiny_net(6, 2), **settings)
    learning = ["student", "embedded", "target"]
    stage, _ = equals_by_hand(stage, even, objective, learning=learning, tolerance=(1e-5, 1e-4))
    assert contrast_of(stage).log_z.isfinite().all()


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
    for name, module in modules(whole).items():
        same(module, modules(resumed)[name], where=name)
    memory = contrast_of(whole).student_memory
    assert not torch.equal(memory, contrast_of(made()).student_memory)


def test_the_memory_has_a_place_for_each_training_row(train: Batches) -> None:
    loss = contrast_of(crd(tiny_net(), tiny_net(), width=16).completed(facts_of(train)))
    assert loss.student_memory.shape == (40, 16)
    assert loss.negatives.replaced, "16384 of 26"
    other = contrast_of(
        crd(tiny_net(), tiny_net()).completed(facts_of(replace(train, order_seed=5)))
    )
    assert not torch.equal(other.student_memory[:, :16], loss.student_memory)


def test_the_defaults_of_its_memory_are_golden(train: Batches) -> None:
    """16384 negatives at 0.07, momentum 0.5."""
    loss = contrast_of(crd(tiny_net(), tiny_net()).completed(facts_of(train)))
    assert (loss.negatives.count, loss.temperature, loss.momentum) == (16384, 0.07, 0.5)


def test_rows_of_one_label_are_refused(train: Batches) -> None:
    table = ImageTable(train.table.images, torch.zeros(40, dtype=torch.long))
    with pytest.raises(WiringError, match="all 40 training rows have one label"):
        crd(tiny_net(), tiny_net()).completed(facts_of(replace(train, table=table)))
