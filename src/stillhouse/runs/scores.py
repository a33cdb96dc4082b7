"""scores.json: the table and the verdict of a run, as data."""

from collections.abc import Sequence
from datetime import UTC, datetime

from stillhouse.models import describe
from stillhouse.recipes.networks import TeacherSection, titled
from stillhouse.records.files import finite
from stillhouse.records.run import (
    DataRecord,
    EpochScores,
    MethodRecord,
    ModelRecord,
    Scores,
    TrainedRun,
    TransferRecord,
    TransferSet,
    Verdict,
)
from stillhouse.records.schema import CLASSIFICATION
from stillhouse.runs.ancestors import Ancestor, family
from stillhouse.runs.distill import Distillation
from stillhouse.runs.integers import integer_bytes
from stillhouse.runs.networks import Network
from stillhouse.runs.played import Played
from stillhouse.runs.verdict import judge


def first_label(played: Played) -> str:
    """The inference that a model is judged by."""
    return next(iter(played.test))


def verdict_of(method: str, played: Sequence[Played], images: int) -> Verdict:
    """Paired over seeds, on the test metric (over so many images) of the last epoch."""
    last = {
        (one.role, one.seed): one.test[first_label(one)]["last"]
        for one in played
        if one.role in ("control", "student")
    }
    seeds = [one.seed for one in played if one.role == "student"]
    control = [last["control", seed] for seed in seeds if ("control", seed) in last]
    student, metric = [last["student", seed] for seed in seeds], CLASSIFICATION.metric
    return judge(method, student, control, metric=metric, images=images)


def _run(one: Played) -> TrainedRun:
    label, run = first_label(one), one.run
    heads = {name: EpochScores(**scores) for name, scores in one.test.items() if name != label}
    validated = one.heads_validation.items()
    return TrainedRun(
        seed=one.seed,
        epochs=run.epochs if run else 0,
        best_epoch=run.best_epoch if run else 0,
        seconds=round(run.seconds, 2) if run else 0.0,
        reused=bool(run and run.reused),
        validation=EpochScores(**one.validation),
        test=EpochScores(**one.test[label]),
        heads=heads,
        heads_validation={name: EpochScores(**scores) for name, scores in validated},
        diagnostics=finite(one.diagnostics),
        notes=dict(one.notes),
        given=run is None,
    )


def _models(job: Distillation, played: Sequence[Played]) -> tuple[ModelRecord, ...]:
    ancestors = {each.role: each for each in family(job.teacher)}
    makers: dict[str, Ancestor | Network] = {**ancestors}
    makers |= {"control": job.student, "student": job.student}
    rows: dict[str, ModelRecord] = {}
    for one in played:
        if one.role in rows:
            continue
        maker = makers[one.role]
        if isinstance(maker, Ancestor):
            made = maker.make(one.seed)
        else:
            made = maker.make(one.seed, one.teacher)  # it may be made out of its teacher
        size, section = describe(made), maker.section
        rows[one.role] = ModelRecord(
            role=one.role,
            model=titled(section) if isinstance(section, TeacherSection) else section.model,
            parameters=size.parameters,
            bytes=size.bytes,
            heads_bytes=integer_bytes(made),
            runs=tuple(_run(each) for each in played if each.role == one.role),
        )
    return tuple(rows.values())


def _method(job: Distillation) -> MethodRecord:
    method = job.method
    settings = job.recipe.method.settings()
    return MethodRecord(
        name=method.name, line=method.line, paper=method.paper, settings=finite(settings)
    )


def _transfer(job: Distillation) -> TransferRecord | None:
    """What the students learnt on instead of the data; None when they learnt on the data."""
    section, made = job.recipe.transfer, [*job.transferred.values()]
    if section is None or not made:
        return None
    seconds = sum(each.tally.seconds for each in made)
    sets = (
        TransferSet(
            seed=each.seed,
            directory=each.directory.name,
            seconds=round(each.tally.seconds, 2),
            balance=finite(each.tally.balance),
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


def _data(job: Distillation) -> DataRecord:
    splits = job.feeds.splits
    return DataRecord(
        name=splits.name,
        train=len(splits.train),
        validation=len(splits.validation),
        test=len(splits.test),
        classes=len(splits.classes),
        class_names=tuple(map(str, splits.classes)),
        image=tuple(job.feeds.image_shape),
    )


def describe_run(job: Distillation, played: Sequence[Played], seconds: float) -> Scores:
    """Everything that the table, the verdict line and the report show."""
    return Scores(
        task=CLASSIFICATION,
        title=job.recipe.title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        finished=True,
        seconds=round(seconds, 2),
        data=_data(job),
        transfer=_transfer(job),
        method=_method(job),
        models=_models(job, played),
        teacher_served=job.served,
        verdict=verdict_of(job.method.name, played, len(job.feeds.splits.test)),
    )
