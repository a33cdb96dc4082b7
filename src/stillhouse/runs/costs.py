"""costs.json: what a student that was made out of its teacher costs, beside its teacher."""

import copy
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import nn

from stillhouse.recipes.derive import DerivedSection
from stillhouse.records.run import COSTS, Costs, LayerChange, LayerKept, NetworkCosts
from stillhouse.runs.deriving import DerivedNetwork
from stillhouse.runs.distill import Distillation
from stillhouse.runs.played import Played, student_of
from stillhouse.runs.scores import first_label
from stillhouse.students import Derived, Measures, conditions, measured


def write_costs(job: Distillation, played: Sequence[Played]) -> None:
    """Measure teacher and student once and write it beside the run; times are not taken twice."""
    first, path = student_of(played), job.out / COSTS
    if not isinstance(job.recipe.student, DerivedSection) or first.teacher is None:
        return
    if not path.is_file():
        _costs(job, first, first.teacher, played).write(path)


def _costs(job: Distillation, first: Played, teacher: nn.Module, played: Sequence[Played]) -> Costs:
    device, shape = job.feeds.platform.device, job.feeds.image_shape
    student = job.student.make(first.seed, teacher)
    modules = [copy.deepcopy(module).to(device) for module in (teacher, student)]
    sizes = [as_data(each) for each in measured(modules, [_shape_of_teacher(job), shape])]
    before = next((one for one in played if one.role == "teacher"), None)
    last = first.test[first_label(first)]["last"]
    rows = (
        ("teacher", sizes[0], before.test[first_label(before)]["last"] if before else None),
        ("student before distillation", sizes[1], job.starts.get(first.seed)),
        ("student after distillation", sizes[1], last),
    )
    networks = [NetworkCosts(name=name, test=found, **size) for name, size, found in rows]
    return Costs(
        derive=job.recipe.student.model_dump(mode="json"),
        model=job.student.section.model,
        seed=first.seed,
        conditions=conditions(device),
        networks=tuple(networks),
        **_told(job, teacher),
    )


def _shape_of_teacher(job: Distillation) -> tuple[int, int, int]:
    """Of its own form of the image, if it has one."""
    channels, height, width = job.feeds.image_shape
    own = job.teacher.section.input if job.teacher else None
    if own is None:
        return channels, height, width
    return own.channels or channels, own.size or height, own.size or width


def _told(job: Distillation, teacher: nn.Module) -> dict[str, Any]:
    """What became of the layers, where the student was rebuilt from them."""
    if not isinstance(job.student, DerivedNetwork):
        return {}
    return layers_told(job.student.made_of(teacher, job.recipe.seeds[0]))


def layers_told(made: Derived) -> dict[str, Any]:
    """What became of the layers, as fields of their record."""
    return {
        "changes": tuple(LayerChange(**asdict(change)) for change in made.changes),
        "kept": tuple(LayerKept(**asdict(kept)) for kept in made.kept),
    }


def as_data(measures: Measures) -> dict[str, Any]:
    """Measures as fields of their record.

    >>> as_data(Measures(8, 6, 160, {1: 0.123456}))["milliseconds"]
    {'1': 0.1235}
    """
    times = {str(batch): round(spent, 4) for batch, spent in measures.milliseconds.items()}
    return {**asdict(measures), "milliseconds": times}
