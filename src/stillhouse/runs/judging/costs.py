"""costs.json: what a student that was made out of its teacher costs, beside its teacher."""

import copy
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import nn

from stillhouse.recipes.derive import DerivedSection
from stillhouse.records.run import COSTS, Costs, LayerChange, LayerKept, NetworkCosts
from stillhouse.runs.job.derived import DerivedNetwork
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.scores import first_label
from stillhouse.runs.judging.scoring import ScoredModel, student_of
from stillhouse.runs.training.stage_run import LAST
from stillhouse.students import DerivedModel, Measures, conditions, measured


def write_costs(job: Job, scored: Sequence[ScoredModel], at_start: float | None) -> None:
    """Measure teacher and student once and write it beside the run; times are not taken twice.

    Args:
        job: as the first student saw it.
        scored: teachers and students.
        at_start: the test metric of that student before it learnt anything.
    """
    first, path = student_of(scored), job.out / COSTS
    if not isinstance(job.recipe.student, DerivedSection) or first.teacher is None:
        return
    if not path.is_file():
        _costs(job, first, first.teacher, scored, at_start).write(path)


def _costs(
    job: Job,
    first: ScoredModel,
    teacher: nn.Module,
    scored: Sequence[ScoredModel],
    at_start: float | None,
) -> Costs:
    device, shape = job.data.platform.device, job.data.image_shape
    modules = [copy.deepcopy(module).to(device) for module in (teacher, first.module)]
    sizes = [as_data(each) for each in measured(modules, [_shape_of_teacher(job), shape])]
    before = next((one for one in scored if one.role == "teacher"), None)
    last = first.test[first_label(first)][LAST]
    rows = (
        ("teacher", sizes[0], before.test[first_label(before)][LAST] if before else None),
        ("student before distillation", sizes[1], at_start),
        ("student after distillation", sizes[1], last),
    )
    networks = [NetworkCosts(name=name, test=found, **size) for name, size, found in rows]
    layers = job.student.derived if isinstance(job.student, DerivedNetwork) else None
    return Costs(
        derive=job.recipe.student.model_dump(mode="json"),
        model=job.student.section.model,
        seed=first.seed,
        conditions=conditions(device),
        networks=tuple(networks),
        **({} if layers is None else layers_told(layers)),
    )


def _shape_of_teacher(job: Job) -> tuple[int, int, int]:
    """Of its own form of the image, if it has one."""
    channels, height, width = job.data.image_shape
    own = job.teacher.section.input if job.teacher else None
    if own is None:
        return channels, height, width
    return own.channels or channels, own.size or height, own.size or width


def layers_told(made: DerivedModel) -> dict[str, Any]:
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
