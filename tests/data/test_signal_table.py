"""Rows that are no images: a table of named signals, networks that read several of them."""

import hashlib
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.signal_table import SignalTable
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.methods import kd
from stillhouse.models.calling import by_name, run_on


@dataclass(frozen=True, eq=False)
class Shifted(SignalTable):
    """Rows of three numbers, which a view moves, and a mask."""

    numbers: Tensor

    varies = True
    noun = "triples"
    signals = ("x", "mask", "label")

    def take(self, rows: Tensor) -> "Shifted":
        return replace(self, labels=self.labels[rows], numbers=self.numbers[rows])

    def fingerprint(self) -> str:
        return hashlib.sha256(self.numbers.numpy().tobytes()).hexdigest()

    def show(self, rows: Tensor, *, view: int, seed: int) -> dict[str, Tensor]:
        x = self.numbers[rows] + (0 if view < 0 else 10 * view + seed)
        return {"x": x, "mask": torch.ones(len(rows), 3), "label": self.labels[rows]}


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x: Tensor, cache: None = None, mask: Tensor | None = None) -> Tensor:
        assert mask is not None
        return self.fc(x * mask)


def table(rows: int = 8) -> Shifted:
    numbers = torch.arange(3.0 * rows).view(rows, 3) / 24
    return Shifted(torch.arange(rows) % 2, numbers)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_table_of_signals_is_served_under_views(workers: int) -> None:
    batches = Batches(table(), Augment((0.0,), (1.0,)), batch_size=4, view_seed=3, workers=workers)
    first = next(batches.epoch(1))
    rows = first["batch.index"]
    assert torch.equal(first["batch.x"], table().numbers[rows] + 13)
    assert torch.equal(first["batch.label"], rows % 2)
    assert first["batch.view"].tolist() == [1] * 4
    shown = torch.cat([each["batch.x"] for each in batches.once()])
    assert torch.equal(shown, table().numbers)


def test_networks_of_several_inputs_learn_from_each_other_as_by_hand() -> None:
    torch.manual_seed(0)
    student, teacher = Masked(), Masked()
    batches = Batches(table(), Augment((0.0,), (1.0,)), batch_size=8)
    stage = kd(student, teacher, temperature=2.0).with_inputs(["batch.x", "batch.mask"])
    batch = batches.sample(8)
    with stage.open(batch["batch.label"], batch["batch.label"], x=batch["batch.x"],
                    mask=batch["batch.mask"]) as objective:  # fmt: skip
        terms = objective(batch).terms
    z, t = student.fc(batch["batch.x"]), teacher.fc(batch["batch.x"])
    wanted = 4 * torch.nn.functional.kl_div(
        (z / 2).log_softmax(1), (t / 2).log_softmax(1), log_target=True, reduction="batchmean"
    )
    assert terms["kd"].item() == pytest.approx(wanted.item(), abs=1e-6)
    before = student.fc.weight.clone()
    fit(stage, batches, epochs=1)
    assert not torch.equal(before, student.fc.weight)


def test_inputs_go_by_the_names_of_parameters_or_by_their_place() -> None:
    role = Role("teacher", Masked(), reads={"x": "batch.teacher_x", "mask": "batch.mask"})
    role.open(["logits"])
    found = role.run({"batch.teacher_x": torch.ones(2, 3), "batch.mask": torch.zeros(2, 3)})
    role.close()
    assert torch.equal(found["teacher.logits"], role.module.fc.bias.expand(2, 2))
    assert by_name(Masked(), ["a", "mask"]) == (False, True)
    assert run_on(nn.Identity(), {"anything": torch.tensor(2)}).item() == 2
