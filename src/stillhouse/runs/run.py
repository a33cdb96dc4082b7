"""A run from start to end: prepare, check, train, judge, write."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stillhouse.engine.frozen import frozen_names
from stillhouse.engine.graphs import GRAPHS, graphs_problem
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.engine.resuming import METRICS
from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError, RunError
from stillhouse.models.given import set_eval
from stillhouse.recipes.data import AugmentSection
from stillhouse.recipes.derive import DerivedSection
from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.records.answers import write_answers
from stillhouse.records.checked import write_checked
from stillhouse.records.environment import environment
from stillhouse.records.files import Lines
from stillhouse.records.run import REPORT, SCORES, Scores
from stillhouse.runs.directory import ENVIRONMENT, check_places, claimed
from stillhouse.runs.forecasts import forecast_of
from stillhouse.runs.group import Group, train_group
from stillhouse.runs.job.counter import counted
from stillhouse.runs.job.data import NO_VALIDATION, JobData, open_data
from stillhouse.runs.job.derived import make_student
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.label_settings import adjusted_task, labels_told
from stillhouse.runs.job.method import chosen_method, chosen_task
from stillhouse.runs.job.networks import Network
from stillhouse.runs.job.peers import make_peers
from stillhouse.runs.job.probe import make_probe
from stillhouse.runs.job.targets import judged_by_teacher
from stillhouse.runs.job.teacher import make_teacher
from stillhouse.runs.job.watcher import Heard, SilentWatcher, Watcher
from stillhouse.runs.judging.boxes_shown import write_boxes_shown
from stillhouse.runs.judging.costs import write_costs
from stillhouse.runs.judging.examples import write_disagreements
from stillhouse.runs.judging.figures import answers_of
from stillhouse.runs.judging.finished import checksums, decisive, finished
from stillhouse.runs.judging.kept_networks import kept_network
from stillhouse.runs.judging.probing import probed, trained_with_labels
from stillhouse.runs.judging.products import write_products
from stillhouse.runs.judging.scores import describe_run
from stillhouse.runs.judging.scoring import (
    HeldOutScores,
    ScoredModel,
    score_at_start,
    score_student,
    score_teacher,
    score_untrained,
    student_of,
)
from stillhouse.runs.judging.sentence_folder import write_sentence_folder
from stillhouse.runs.judging.student_folder import write_student_folder
from stillhouse.runs.outcome import Outcome
from stillhouse.runs.preflight import check, networks_told
from stillhouse.runs.training.compiling import settle_compile
from stillhouse.runs.training.serving import all_together
from stillhouse.runs.training.stage_run import LAST, StageRun
from stillhouse.runs.training.teachers import Teachers
from stillhouse.runs.training.tracked import tracked
from stillhouse.runs.training.transfer import stand_in, write_gallery, written_out
from stillhouse.runs.tuning import check_tuning, tuned
from stillhouse.tasks import Task
from stillhouse.tracking import check_installed, run_summary

SHARED = "shared"


@dataclass(frozen=True)
class Objects:
    """Python objects given in place of names in a recipe."""

    data: Any = None
    student: Any = None
    teacher: Any = None
    peers: Sequence[Any] | None = None
    transform: Callable[[Any], Tensor] | None = None
    eval_transform: Callable[[Any], Tensor] | None = None
    method: Callable[..., Stage] | None = None
    task: Task | None = None


def prepare(
    recipe: Recipe,
    out: Path,
    *,
    objects: Objects | None = None,
    shared: Path | None = None,
    allow_imports: bool = False,
    watcher: Watcher | None = None,
    data: JobData | None = None,
    tested: bool = True,
) -> Job:
    """Load the data, settle what 'auto' means, and check that everything fits; trains nothing.

    ``data`` are the recipe's, where several runs of one process share what was loaded. ``tested``:
    whether the job ends on the test set.
    """
    given, shared = objects or Objects(), shared or out.resolve().parent / SHARED
    check_installed(recipe.track.to if recipe.track else ())
    check_places(out, shared, done=(out / SCORES).is_file())
    method = chosen_method(recipe, given.method, allow_imports=allow_imports)
    platform = _platform(recipe, data)
    data = data or open_data(
        recipe.data,
        recipe.batch,
        platform,
        source=given.data,
        transform=given.transform,
        eval_transform=given.eval_transform,
        task=chosen_task(recipe, given.task, allow_imports=allow_imports),
    )
    watcher = watcher or SilentWatcher()
    heard = Heard(watcher)
    for note in data.splits.notes:
        heard.warn(note)
    _check_counts(recipe, data)
    if recipe.transfer is not None and not data.task.labelled:
        said = f"its images get classes from the teacher, and the task '{data.task.name}' has none"
        raise RecipeError("transfer", [f"{said}; leave transfer out"])
    recipe = _settled(recipe, data)
    teacher = None
    if recipe.teacher is not None:
        teacher = make_teacher(recipe.teacher, data, given.teacher, allow_imports=allow_imports)
    data = judged_by_teacher(data, teacher)
    student = make_student(
        recipe.student, data, teacher, given.student, allow_imports=allow_imports
    )
    task = adjusted_task(data.task, recipe, data.splits)
    job = Job(
        _with_frozen(recipe, student),
        replace(data, task=task),
        student,
        teacher,
        method,
        shared,
        out,
        heard,
        make_peers(recipe.peers or (), given.peers, student, data, allow_imports=allow_imports),
        tested=tested,
        probe=make_probe(recipe, data, given.student, allow_imports=allow_imports),
    )
    for note in job.probe.notes if job.probe else ():
        heard.warn(note)
    check(job)
    check_tuning(job)
    return replace(job, watcher=watcher, warned=tuple(heard.warned))


def _platform(recipe: Recipe, data: JobData | None) -> Platform:
    """Where it runs, as its data say if they are there. Raises RecipeError: it cannot."""
    own = None if data is None else data.platform
    platform = own or open_platform(device=recipe.device, precision=recipe.precision)
    problem = graphs_problem(platform) if recipe.compile == GRAPHS else None
    if problem:
        raise RecipeError("compile", [problem])
    return platform


def _check_counts(recipe: Recipe, data: JobData) -> None:
    """Refuse counts that the data do not have. Raises RecipeError."""
    if not len(data.splits.test):
        said = f"{recipe.data.test} leaves no images to test on, and a run ends with their number"
        raise RecipeError("data.test", [f"{said}; give a share such as 0.2, or how many"])
    if recipe.patience is not None and data.validation is None:
        raise RecipeError("patience", [NO_VALIDATION])
    for name, table in (("validation", data.splits.validation), ("test", data.splits.test)):
        if not len(table):
            continue
        pairs = data.splits.pairs.get(name)
        problem = data.task.rows_problem(len(table)) or data.task.pairs_problem(pairs)
        if problem:
            raise RecipeError(f"data.{name}", [problem])
    rows = len(data.splits.train)
    if recipe.batch > rows and "batch" in recipe.model_fields_set:
        said = f"{recipe.batch:,} images in a step, and there are {rows:,} to train on"
        raise RecipeError("batch", [f"{said}; give at most {rows:,}"])


def _settled(recipe: Recipe, data: JobData) -> Recipe:
    """The recipe with what 'auto' means on these data written out, and no batch above them."""
    rows = len(data.splits.train)
    augment = {name: getattr(data.augment, name) for name in AugmentSection.model_fields}
    section = recipe.data.model_copy(update={"augment": AugmentSection(**augment)})
    transfer = recipe.transfer and written_out(recipe.transfer, data)
    precision = data.platform.precision
    chosen = {"data": section, "precision": precision, "transfer": transfer}
    return recipe.model_copy(update={**chosen, "batch": min(recipe.batch, rows)})


def _with_frozen(recipe: Recipe, student: Network) -> Recipe:
    """The recipe with what of a student that was given as an object came frozen, by its names."""
    if student.source is None:
        return recipe
    section, made = student.section, student.make(recipe.seeds[0])
    names = tuple(frozen_names(made, section.frozen, who="student"))
    return recipe.model_copy(
        update={"student": recipe.student.model_copy(update={"frozen": names})}
    )


def run(job: Job, *, held_out: HeldOutScores | None = None, foretold: bool = False) -> Outcome:
    """Run a prepared job, or go on with it, or find it finished: then nothing is written.

    ``held_out`` are scores on the test set, where several runs share teachers and controls.
    ``foretold``: a forecast was told already, of the study that it belongs to.

    Raises:
        RunError: the directory belongs to another run, or is in use, or a file of it is damaged.
        NonFiniteLoss: a term became nan or inf.
    """
    platform, began = job.data.platform, time.perf_counter()
    kept = finished(job)
    if kept is not None:
        job.watcher.say(f"finished before, taken from {job.out}")
        if platform.main and not (job.out / REPORT).is_file():
            _report(job.out)
        return Outcome(job.out, kept.plain(), partial(kept_network, job))
    check_places(job.out, job.shared)
    counted_by = counted(job.watcher, len(job.recipe.seeds))
    heard, aside = Heard(counted_by, job.warned), job.watcher.warn
    job = replace(job, watcher=heard)
    identity = resolved(job.recipe), environment(job.data.platform)
    with platform.main_holds(lambda: claimed(job.out, *identity)), tracked(job, aside) as job:
        for line in (*networks_told(job), *labels_told(job.task, job.data.splits.classes)):
            job.watcher.say(line)
        forecast = None if foretold else forecast_of([job])
        if forecast is not None:
            job.watcher.say(forecast)
        teachers = Teachers(job)
        job = replace(job, compiled=settle_compile(stand_in(job)))
        asked, (job, tuning) = job, tuned(job, teachers)
        groups = [train_group(job, teachers.trained(seeds[0]), seeds) for seeds in job.groups]
        supervised = trained_with_labels(job)
        job.watcher.say("reading the test set, once")
        scored = _judge(job, teachers, groups, held_out or HeldOutScores())
        probe = probed(job, scored, supervised)
        spent = sum(
            one.run.seconds for one in scored if platform.main and one.run and one.run.reused
        )
        sets = [group.lessons.transfer for group in groups if group.lessons.transfer]
        served = all_together(
            [group.lessons.source.record for group in groups if group.lessons.source]
        )
        scores = describe_run(job, scored, sets, served, time.perf_counter() - began + spent,
                              heard.warned)  # fmt: skip
        known = {"tuning": tuning, "decisive": decisive(asked), "probe": probe}
        scores = scores.model_copy(update=known)
        at_start = _at_start(groups[0])
        written = platform.by_main(lambda: _write(job, groups[0], scored, scores, at_start))
        return Outcome(job.out, (written or scores).plain(), _networks(scored).get)


def _judge(
    job: Job, teachers: Teachers, groups: Sequence[Group], held_out: HeldOutScores
) -> list[ScoredModel]:
    """All models of the run by the test set: teachers first, then controls and students."""
    scored = [score_teacher(job, trained, held_out) for trained in teachers.all()]
    for group in groups:
        if job.recipe.control and not job.task.labelled:
            scored += [
                score_untrained(group.lessons.job, run.training.settings.seed) for run in group.runs
            ]
        module = None if group.lessons.teacher is None else group.lessons.teacher.module
        scored += [
            score_student(run, module, group.lessons.likeness, held_out) for run in group.runs
        ]
    return scored


def _at_start(group: Group) -> float | None:
    """What a student that was made out of its teacher was worth before it learnt."""
    if not isinstance(group.lessons.job.recipe.student, DerivedSection):
        return None
    return score_at_start(group.lessons.job, group.lessons.job.recipe.seeds[0])


def _networks(scored: Sequence[ScoredModel]) -> dict[str, nn.Module]:
    """The first network of each role, with the weights of its last epoch, in eval mode."""
    found: dict[str, nn.Module] = {}
    for one in scored:
        if one.role not in found:
            found[one.role] = one.module if one.run is None else one.run.module(LAST)
            set_eval(found[one.role])
    return found


def _student(scored: Sequence[ScoredModel]) -> StageRun:
    run = student_of(scored).run
    if run is None:
        raise RunError("the student was not trained")
    return run


def _write(
    job: Job,
    first: Group,
    scored: Sequence[ScoredModel],
    scores: Scores,
    at_start: float | None,
) -> Scores:
    """Products of the first seed beside the run, merged metrics, and last the scores; the report.

    Returns:
        the scores with the checksums of what they stand for.
    """
    out = job.out
    write_products(out, _student(scored))
    of_texts = job.task.rows_are in ("texts", "passages")
    write_folder = write_sentence_folder if of_texts else write_student_folder
    write_folder(job, _student(scored), scores)
    write_costs(first.lessons.job, scored, at_start)
    if first.lessons.transfer is not None and job.data.pictures:
        write_gallery(job, first.lessons.transfer)
    Lines(out / METRICS).rewrite([
        {**line, "stage": one.role, "seed": one.seed}
        for one in scored
        if one.run is not None
        for line in one.run.history
    ])  # fmt: skip
    write_checked(out / ENVIRONMENT, environment(job.data.platform))
    answers = answers_of(scored)
    write_answers(out, answers)
    write_disagreements(job, answers)
    write_boxes_shown(job, answers)
    scores = scores.model_copy(update={"files": checksums(out)})
    scores.write(out / SCORES)
    _report(out)
    if job.tracked is not None:
        job.tracked.conclude(run_summary(scores, out))
    return scores


def _report(out: Path) -> None:
    from stillhouse.report import write_report

    write_report(out)
