"""The rows of the tables of a run: results, each training, costs; as text ready to be shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stillhouse.records.costs import Costs, NetworkCosts
from stillhouse.records.metric import NOTHING, Metric
from stillhouse.records.own_code import called
from stillhouse.records.run import EpochScores, ModelRecord, TrainedRun
from stillhouse.report.record import RunRecord
from stillhouse.report.wording import (
    compared,
    count,
    duration,
    head_note,
    interval,
    milliseconds,
    operations,
    size,
    text,
)
from stillhouse.report.worth import mean_seconds
from stillhouse.verdict.spread import spread

NOT_FINISHED = "not finished"


@dataclass(frozen=True)
class TableRow:
    """One line of the results table; the metric as mean and half-width over seeds.

    ``test_ends``: the worst and the best seed; ``training``: the metric on training rows.
    """

    role: str
    model: str
    note: str
    test_last: str
    test_best: str
    validation_last: str = ""
    validation_best: str = ""
    parameters: str = ""
    fewer: str = ""
    size: str = ""
    smaller: str = ""
    seconds: str = ""
    head: bool = False
    test_ends: str = ""
    training: str = ""


@dataclass(frozen=True)
class SeedRow:
    """One training: one line of the detail table."""

    role: str
    seed: str
    epochs: str
    best_epoch: str
    validation: EpochScores
    test: EpochScores
    seconds: str
    note: str
    training: float | None = None


def table_rows(record: RunRecord) -> tuple[TableRow, ...]:
    """Return a row per model, and below it one per further head that inference may use."""
    rows: list[TableRow] = []
    for model in record.models:
        rows.append(_model_row(record, model))
        names = dict.fromkeys(name for run in model.runs for name in run.heads)
        rows.extend(_head_row(record, model, name) for name in names)
    return tuple(rows)


def seed_rows(record: RunRecord) -> tuple[SeedRow, ...]:
    """Return a row per model and seed, as they were trained."""
    return tuple(
        SeedRow(
            role=model.role,
            seed=str(run.seed),
            epochs=count(run.epochs) + (f" of {count(run.of_epochs)}" if run.of_epochs else ""),
            best_epoch=count(run.best_epoch),
            validation=run.validation,
            test=run.test,
            seconds="" if run.given else duration(run.seconds),
            note=_origin(run),
            training=run.training,
        )
        for model in record.models
        for run in model.runs
    )


def _model_row(record: RunRecord, model: ModelRecord) -> TableRow:
    teacher = record.role("teacher")
    return TableRow(
        role=model.role,
        model=called(model.model),
        note=_note(model),
        test_last=_mean(record, (run.test.last for run in model.runs)),
        test_best=_mean(record, (run.test.best for run in model.runs)),
        validation_last=_mean(record, (run.validation.last for run in model.runs)),
        validation_best=_mean(record, (run.validation.best for run in model.runs)),
        parameters=count(model.parameters),
        fewer=_against(teacher, model, "parameters", ("fewer", "more", "as many")),
        size=size(model.bytes),
        smaller=_against(teacher, model, "bytes", ("smaller", "larger", "same size")),
        seconds=_seconds(model),
        test_ends=_ends(record, [run.test.last for run in model.runs]),
        training=_training(record, model),
    )


def _head_row(record: RunRecord, model: ModelRecord, name: str) -> TableRow:
    heads = [run.heads[name] for run in model.runs if name in run.heads]
    validated = [run.heads_validation[name] for run in model.runs if name in run.heads_validation]
    held = model.heads_bytes.get(name)
    return TableRow(
        role=model.role,
        model=name,
        note=head_note(name),
        test_last=_mean(record, (head.last for head in heads)),
        test_best=_mean(record, (head.best for head in heads)),
        validation_last=_mean(record, (each.last for each in validated)) if validated else "",
        validation_best=_mean(record, (each.best for each in validated)) if validated else "",
        size="" if held is None else size(held),
        head=True,
    )


def _mean(record: RunRecord, values: Iterable[float | None]) -> str:
    found = spread(values)
    if found is None:
        return NOTHING if record.finished else NOT_FINISHED
    return interval(found, record.metric)


def _training(record: RunRecord, model: ModelRecord) -> str:
    found = spread(run.training for run in model.runs)
    if found is None:
        return NOTHING if record.finished else ""
    return record.metric.shown(found.mean)


def _ends(record: RunRecord, values: list[float | None]) -> str:
    """The worst and the best seed, where there are several."""
    metric, known = record.metric, [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    worst, *_, best = sorted(known, key=lambda value: metric.gain(value, 0.0))
    return f"{metric.shown(worst)} to {metric.shown(best)}"


def _seconds(model: ModelRecord) -> str:
    if model.runs and all(run.given for run in model.runs):
        return "given"
    return duration(mean_seconds(model))


def _note(model: ModelRecord) -> str:
    if not model.runs:
        return ""
    seeds = "1 seed" if len(model.runs) == 1 else f"{len(model.runs)} seeds"
    origins = {_origin(run) for run in model.runs}
    if origins == {"given"}:
        return "given"
    return f"{seeds}, reused" if origins == {"reused"} else seeds


def _origin(run: TrainedRun) -> str:
    return "given" if run.given else "reused" if run.reused else ""


def _against(
    teacher: ModelRecord | None, model: ModelRecord, what: str, words: tuple[str, str, str]
) -> str:
    """Compare the student with the teacher; the control has the student's size."""
    if teacher is None or model.role != "student":
        return ""
    large, small = getattr(teacher, what), getattr(model, what)
    return compared(large / small, *words) if large and small else ""


def settled(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """What was found of the teacher and settled while the student's stage was composed.

    By seed where seeds differ.

    >>> settled(RunRecord(name="run"))
    ()
    """
    teacher, student = record.role("teacher"), record.role("student")
    runs = student.runs if student else ()
    told = [run.notes["check"] for run in (teacher.runs if teacher else ()) if "check" in run.notes]
    checked = tuple(("the teacher", said) for said in dict.fromkeys(told))
    found = {(what, said): None for run in runs for what, said in run.notes.items()}
    whats = [what for what, _ in found]
    seeds = {(what, run.notes.get(what)): run.seed for run in reversed(runs) for what in run.notes}
    return checked + tuple(
        (what if whats.count(what) == 1 else f"{what}, seed {seeds[what, said]}", said)
        for what, said in found
    )


@dataclass(frozen=True)
class CostsTable:
    """What teacher and student cost, side by side.

    Args:
        batches: sizes that were timed, in order.
        lines: the cells of each network.
        kept: reason -> layers that stayed as they were.
        conditions: what a time depends on.
    """

    batches: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    kept: Mapping[str, tuple[str, ...]]
    conditions: str


def costs_table(costs: Costs, metric: Metric) -> CostsTable:
    """Lay costs.json out as a table."""
    batches = tuple(dict.fromkeys(at for each in costs.networks for at in each.milliseconds))
    kept: dict[str, tuple[str, ...]] = {}
    for layer in costs.kept:
        kept[layer.why] = (*kept.get(layer.why, ()), layer.path)
    return CostsTable(
        batches,
        tuple(_costs(each, batches, metric) for each in costs.networks),
        kept,
        ", ".join(f"{key} {text(item)}" for key, item in costs.conditions.items()),
    )


def _costs(network: NetworkCosts, batches: tuple[str, ...], metric: Metric) -> tuple[str, ...]:
    times = [network.milliseconds.get(batch) for batch in batches]
    return (
        network.name,
        metric.with_unit(network.test),
        count(network.parameters),
        operations(network.macs),
        size(network.file_bytes),
        *map(milliseconds, times),
    )
