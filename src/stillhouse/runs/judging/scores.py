"""scores.json: the table and the verdict of a run, as data."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite

from stillhouse.errors import RunError
from stillhouse.models import describe
from stillhouse.recipes.networks import ModelSection, TeacherSection, titled
from stillhouse.records.figures import TableFigures
from stillhouse.records.files import finite
from stillhouse.records.run import (
    DataRecord,
    EpochScores,
    MethodRecord,
    ModelRecord,
    Scores,
    Serving,
    TrainedRun,
    TransferRecord,
)
from stillhouse.records.run import TransferSet as TransferSetRecord
from stillhouse.records.verdict import Verdict
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.coverage import covered
from stillhouse.runs.judging.early_ends import cut_short, early_ends
from stillhouse.runs.judging.figures import answers_of, figures_of
from stillhouse.runs.judging.integers import integer_bytes
from stillhouse.runs.judging.regime import cautions, last_part, rise, validation_of
from stillhouse.runs.judging.scoring import ScoredModel
from stillhouse.runs.judging.verdict import judge
from stillhouse.runs.training.transfer import TransferSet


def first_label(scored: ScoredModel) -> str:
    """The inference that a model is judged by."""
    return next(iter(scored.test))


def verdict_of(
    job: Job, scored: Sequence[ScoredModel], figures: Sequence[TableFigures] = ()
) -> Verdict:
    """Paired over seeds, on the test metric of the last epoch; with what other rows would give."""
    last = {
        (one.role, one.seed): one.test[first_label(one)]["last"]
        for one in scored
        if one.role in ("control", "student")
    }
    seeds = [one.seed for one in scored if one.role == "student"]
    control = [last["control", seed] for seed in seeds if ("control", seed) in last]
    student, metric = [last["student", seed] for seed in seeds], job.task.metric
    # A share of the test set is a multiple of one row: the interval is not narrower than that.
    images = len(job.data.splits.test) if job.task.metric.share else None
    margin = job.recipe.verdict.margin
    judged = judge(
        job.method.name,
        student,
        control,
        metric=metric,
        images=images,
        margin=None if margin is None else margin / metric.scale,
    )
    teachers = len([one for one in scored if one.role == "teacher"])
    tested = next((each for each in figures if each.table == "test"), None)
    return covered(judged, answers_of(scored), metric, teachers=teachers, figures=tested)


def _run(one: ScoredModel) -> TrainedRun:
    label, run = first_label(one), one.run
    beside = {name: scores for name, scores in one.test.items() if name != label}
    heads = {name: EpochScores(**finite(scores)) for name, scores in beside.items()}
    validated = one.heads_validation.items()
    return TrainedRun(
        seed=one.seed,
        epochs=run.epochs if run else 0,
        best_epoch=run.best_epoch if run else 0,
        seconds=round(run.seconds, 2) if run else 0.0,
        reused=bool(run and run.reused),
        validation=EpochScores(**finite(one.validation)),
        test=_tested(one, label),
        heads=heads,
        heads_validation={name: EpochScores(**finite(scores)) for name, scores in validated},
        diagnostics=finite(one.diagnostics),
        notes=dict(one.notes),
        given=run is None,
        training=finite(one.regime.training),
        rise=None if run is None else rise(validation_of(run), run.training.job.task.metric),
        last_part=None
        if run is None
        else last_part(validation_of(run), run.training.job.task.metric),
        temperature=one.regime.temperature,
        of_epochs=None if run is None else cut_short(run),
    )


def _tested(one: ScoredModel, label: str) -> EpochScores:
    """The test metric. Raises RunError where it is no number, for nothing can be judged by it."""
    for which, value in one.test[label].items():
        if not isfinite(value):
            raise RunError(
                f"the test metric of {one.role}, seed {one.seed}, {which} epoch, is {value}, and "
                "nothing can be judged by that: the task's rows and further metrics must give a "
                "finite number on the test set. What was trained is kept"
            )
    return EpochScores(**one.test[label])


def _models(job: Job, scored: Sequence[ScoredModel]) -> tuple[ModelRecord, ...]:
    sections: dict[str, ModelSection] = {each.role: each.section for each in job.teachers}
    sections |= dict.fromkeys(("control", "student"), job.student.section)
    rows: dict[str, ModelRecord] = {}
    for one in scored:
        if one.role in rows:
            continue
        section, size = sections[one.role], describe(one.module)
        rows[one.role] = ModelRecord(
            role=one.role,
            model=titled(section) if isinstance(section, TeacherSection) else section.model,
            parameters=size.parameters,
            bytes=size.bytes,
            heads_bytes=integer_bytes(one.module),
            runs=tuple(_run(each) for each in scored if each.role == one.role),
        )
    return tuple(rows.values())


def _method(job: Job) -> MethodRecord:
    method = job.method
    settings = job.recipe.method.settings()
    return MethodRecord(
        name=method.name,
        line=method.line.replace("``", ""),
        paper=method.paper,
        settings=finite(settings),
    )


def _transfer(job: Job, made: Sequence[TransferSet]) -> TransferRecord | None:
    """What the students learnt on instead of the data; None when they learnt on the data."""
    section = job.recipe.transfer
    if section is None or not made:
        return None
    seconds = sum(each.counts.seconds for each in made)
    sets = (
        TransferSetRecord(
            seed=each.seed,
            directory=each.directory.name,
            seconds=round(each.counts.seconds, 2),
            balance=finite(each.counts.balance),
        )
        for each in made
    )
    return TransferRecord(
        method=section.method.name,
        settings=section.method.model_dump(mode="json", exclude={"name"}),
        count=section.count,
        images_per_epoch=section.images_per_epoch or section.count,
        augment=section.model_dump(mode="json")["augment"],
        seconds=round(seconds, 2),
        images_per_second=round(len(made) * section.count / max(seconds, 1e-9), 3),
        sets=tuple(sets),
    )


def _data(job: Job) -> DataRecord:
    splits = job.data.splits
    return DataRecord(
        name=splits.name,
        train=len(splits.train),
        validation=len(splits.validation),
        test=len(splits.test),
        classes=len(splits.classes),
        class_names=tuple(map(str, splits.classes)),
        image=tuple(job.data.input_shape),
    )


def describe_run(
    job: Job,
    scored: Sequence[ScoredModel],
    sets: Sequence[TransferSet],
    served: Serving | None,
    seconds: float,
    warnings: Sequence[str] = (),
) -> Scores:
    """Everything that the table, the verdict line and the report show.

    Args:
        job: what was run.
        scored: teachers, controls and students.
        sets: the transfer sets that students learnt on, if they did.
        served: how the teachers served, where a method read one.
        seconds: spent on all of it.
        warnings: what was warned of on the way.
    """
    models, figures = _models(job, scored), figures_of(job, scored)
    return Scores(
        task=job.task.record,
        title=job.recipe.title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        finished=True,
        seconds=round(seconds, 2),
        data=_data(job),
        transfer=_transfer(job, sets),
        method=_method(job),
        models=models,
        teacher_served=served,
        verdict=verdict_of(job, scored, figures),
        warnings=tuple(warnings),
        cautions=(*early_ends(models), *cautions(models, job.task.metric)),
        figures=figures,
    )
