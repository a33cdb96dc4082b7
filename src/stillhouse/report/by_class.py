"""Per class: what distilling changed against the control, and which confusions came and went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.records.answers import Answers
from stillhouse.report.record import RunRecord

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 8
"""Confusions on each side."""


@dataclass(frozen=True)
class ClassRow:
    """One class of the test set; accuracies are means over the seeds."""

    name: str
    rows: int
    control: float
    student: float
    teacher: float | None

    @property
    def change(self) -> float:
        """Of the student against the control."""
        return self.student - self.control


@dataclass(frozen=True)
class Confusion:
    """Rows of one class that are taken for another, per seed: by the control, by the student."""

    label: str
    predicted: str
    control: float
    student: float


@dataclass(frozen=True)
class ByClass:
    """What changed per class.

    Args:
        classes: the largest loss first, the largest gain last.
        appeared, went: confusions, the largest change first.
    """

    classes: tuple[ClassRow, ...]
    appeared: tuple[Confusion, ...]
    went: tuple[Confusion, ...]


def by_class(record: RunRecord) -> ByClass | None:
    """Compare student and control class by class; None where the run does not tell."""
    answers = record.answers
    if answers is None or answers.label is None or record.scores is None:
        return None
    tables = {
        role: mean_confusion(answers, role, record.scores.data.classes)
        for role in ("control", "student", "teacher")
    }
    control, student, teacher = (tables[role] for role in ("control", "student", "teacher"))
    if control is None or student is None:
        return None
    names = class_names(record)
    rows = [
        ClassRow(
            names[k],
            round(control[k].sum().item()),
            _share(control, k),
            _share(student, k),
            None if teacher is None else _share(teacher, k),
        )
        for k in range(len(names))
        if control[k].sum() > 0
    ]
    change = student - control
    change.fill_diagonal_(0)
    return ByClass(
        tuple(sorted(rows, key=lambda row: row.change)),
        _largest(change, names, control, student),
        _largest(-change, names, control, student),
    )


def class_names(record: RunRecord) -> Sequence[str]:
    """How classes are called: by their names, else by their numbers."""
    data = record.scores.data if record.scores else None
    if data is None:
        return ()
    return data.class_names or tuple(map(str, range(data.classes)))


def mean_confusion(answers: Answers, role: str, classes: int) -> "Tensor | None":
    """Rows by class and prediction, mean over the seeds of a role: [classes, classes]."""
    import torch

    known: Mapping[int, Tensor] = answers.seeds(role, "predicted")
    if not known or answers.label is None:
        return None
    label = answers.label.long()
    tables = [
        torch.bincount(label * classes + said.long(), minlength=classes**2)
        for said in known.values()
    ]
    return torch.stack(tables).double().mean(0).reshape(classes, classes)


def _share(table: "Tensor", number: int) -> float:
    return float(table[number, number] / table[number].sum().clamp(min=1))


def _largest(
    change: "Tensor", names: Sequence[str], control: "Tensor", student: "Tensor"
) -> tuple[Confusion, ...]:
    values, places = change.flatten().sort(descending=True, stable=True)
    found = []
    for value, place in zip(values[:SHOWN].tolist(), places[:SHOWN].tolist(), strict=True):
        if value <= 0:
            break
        k, j = divmod(place, change.shape[1])
        found.append(Confusion(names[k], names[j], control[k, j].item(), student[k, j].item()))
    return tuple(found)
