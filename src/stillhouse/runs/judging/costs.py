"""costs.json: what it costs to use a student, beside its teacher."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from stillhouse.models.given import copied
from stillhouse.recipes.derive import DerivedSection
from stillhouse.recipes.networks import InputSection
from stillhouse.records.costs import COSTS, Costs, LayerChange, LayerKept, NetworkCosts
from stillhouse.runs.job.derived import DerivedNetwork
from stillhouse.runs.job.inputs import input_of
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.scores import first_label
from stillhouse.runs.judging.scoring import ScoredModel, student_of
from stillhouse.runs.training.stage_run import LAST
from stillhouse.students import DerivedModel, Measures, conditions, measured
from stillhouse.students.measures import Example

SECONDS = 0.25
"""Of timing a network at a batch: a run is not to wait long for its last numbers."""


def write_costs(job: Job, scored: Sequence[ScoredModel], at_start: float | None) -> None:
    """Measure student and teacher once and write it beside the run; times are not taken twice.

    A network that cannot be measured, as one that reads more than an image, is said and left out.

    Args:
        job: as the first student saw it.
        scored: teachers and students.
        at_start: the test metric of a student that was made out of its teacher, before it learnt
            anything.
    """
    first, path = student_of(scored), job.out / COSTS
    if path.is_file():
        return
    try:
        costs = _costs(job, first, scored, at_start)
    except Exception as error:  # a network of the user's own may raise anything
        lines = str(error).splitlines() or [type(error).__name__]
        job.watcher.warn(f"what it costs to use the student is not measured: {lines[0]}")
        return
    costs.write(path)


def _costs(
    job: Job, first: ScoredModel, scored: Sequence[ScoredModel], at_start: float | None
) -> Costs:
    device, derived = job.data.platform.device, isinstance(job.recipe.student, DerivedSection)
    known = [("student", first.module, _reads(job, "student", input_of(job.recipe.student)))]
    if first.teacher is not None:
        own = job.teacher.section.input if job.teacher else None
        known.insert(0, ("teacher", first.teacher, _reads(job, "teacher", own)))
    modules = [copied(module).to(device) for _, module, _ in known]
    found = measured(modules, [shape for _, _, shape in known], seconds=SECONDS)
    sizes = {name: as_data(each) for (name, _, _), each in zip(known, found, strict=True)}
    rows = [(name, sizes[name], _test(scored, name)) for name in sizes]
    if derived:
        student = sizes["student"]
        rows[-1:] = [
            ("student before distillation", student, at_start),
            ("student after distillation", student, _test(scored, "student")),
        ]
    networks = [NetworkCosts(name=name, test=test, **size) for name, size, test in rows]
    layers = job.student.derived if isinstance(job.student, DerivedNetwork) else None
    return Costs(
        derive=job.recipe.student.model_dump(mode="json") if derived else {},
        model=job.student.section.model,
        seed=first.seed,
        conditions=conditions(device),
        networks=tuple(networks),
        **({} if layers is None else layers_told(layers)),
    )


def _test(scored: Sequence[ScoredModel], role: str) -> float | None:
    """The metric on the test set of the first network in a role, last epoch."""
    one = next((one for one in scored if one.role == role), None)
    return one.test[first_label(one)][LAST] if one else None


def _reads(job: Job, role: str, own: InputSection | None) -> Example:
    """The shape of the image that a network reads, of its own form if it has one; or its rows."""
    if not job.data.of_images:
        return partial(job.data.example, role)
    return job.data.image_shape if own is None else own.shape(job.data.image_shape)


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
