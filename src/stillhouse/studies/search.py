"""A search for a student: our families under a budget, each candidate a short distillation.

All candidates share the recipe's one teacher and its data. They are compared by the task's metric
on validation after their last epoch; the test set is never read.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from stillhouse.engine.processes import world_asked
from stillhouse.errors import NonFiniteLoss, RecipeError, RunError
from stillhouse.models import describe
from stillhouse.recipes.load import make_recipe
from stillhouse.recipes.networks import ModelSection
from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.records.checked import read_checked_text, write_checked_text
from stillhouse.records.claim import Claim
from stillhouse.records.metric import Metric, TaskRecord
from stillhouse.records.plain_yaml import yaml_text
from stillhouse.records.study import Trial as TrialRecord
from stillhouse.records.study import TrialList
from stillhouse.runs.directory import check_places, same_run
from stillhouse.runs.group import train_group
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.networks import make_network
from stillhouse.runs.job.watcher import SilentWatcher, Watcher
from stillhouse.runs.run import SHARED, prepare
from stillhouse.runs.training.stage_run import LAST
from stillhouse.runs.training.teachers import Teachers
from stillhouse.students.measures import latencies
from stillhouse.students.space import Budget
from stillhouse.studies.arms import SharedData
from stillhouse.studies.trials import REFUSED, TRAINED, Candidate, Trial, Trials

LOG, ASKED, TABLE, RECIPE = "trials.json", "search.yaml", "search.json", "best.yaml"
CLAIM = Claim("search", ASKED, "choose another directory (-o DIR)")
KEPT_KEYS = {"model", "quantise"}
"""Keys of the student that any network can have."""
SHORT = 4
"""A candidate has this part of the recipe's epochs, unless told."""


@dataclass(frozen=True)
class Search:
    """What is searched.

    Args:
        values: the recipe as it was written, with overrides; the best student's is written like it.
        budget: what a student may cost.
        trials: how many candidates are trained, those of earlier calls included.
        out: the directory of the search.
        epochs: of each candidate; a quarter of the recipe's by default.
        shared: where the teacher is kept for other runs; beside ``out`` by default.
        allow_imports: whether ``python:package.module:function`` may be imported.
        watcher: hears of progress.
    """

    values: Mapping[str, Any]
    budget: Budget
    trials: int
    out: Path
    epochs: int | None = None
    shared: Path | None = None
    allow_imports: bool = False
    watcher: Watcher = field(default_factory=SilentWatcher)

    @property
    def place_of_teacher(self) -> Path:
        """Where the teacher is kept."""
        return self.shared or self.out.resolve().parent / SHARED

    def recipe(self, model: str) -> Recipe:
        """The recipe with this student. Raises RecipeError where it cannot be searched."""
        return make_recipe(self.with_student(model))

    def with_student(self, model: str) -> dict[str, Any]:
        """The recipe as it was written, with this student."""
        student = self.values.get("student", model)
        others = dict(student) if isinstance(student, Mapping) else {}
        strange = sorted(set(others) - KEPT_KEYS)
        if strange:
            raise RecipeError(
                "search",
                [f"student.{strange[0]} belongs to one network, and a search tries many; leave it "
                 "out"],
            )  # fmt: skip
        others.pop("model", None)
        return {**self.values, "student": {"model": model, **others} if others else model}

    def short(self, recipe: Recipe) -> int:
        """How many epochs a candidate has."""
        return max(1, recipe.epochs // SHORT) if self.epochs is None else self.epochs


def run_search(
    search: Search, done: Callable[[Candidate, Metric], None] | None = None
) -> list[Candidate]:
    """Try candidates until so many were trained, or none is left; best first.

    Writes search.json after each, and best.yaml, a recipe with the best student, ready to be run.
    The same call goes on with a search that was stopped, or finds it finished; one with more trials
    goes on.

    Args:
        search: what is searched.
        done: hears of each candidate that was tried now, with the metric of its value.

    Raises:
        MissingExtra: Optuna is not installed.
        RecipeError: the recipe cannot be searched.
        RunError: the directory holds another search, or is in use.
    """
    if search.values.get("track") is not None:
        search.watcher.warn("track: the short trainings of a search are told to no tracker")
    if world_asked() > 1:
        raise RecipeError("search", ["a search runs in one process; start it without launcher"])
    if search.trials < 1:
        raise RecipeError("search", [f"{search.trials} trials; ask for at least 1"])
    first = search.recipe("convnet-4-8")
    kept = _finished(search, first)
    if kept is not None:
        return kept
    check_places(search.out, search.place_of_teacher)
    with CLAIM.hold(search.out, _asked(search, first)):
        trials = Trials(search.out / LOG, first.seeds[0])
        attempt = _Attempt(search, first)
        while _tried(trials) < search.trials:
            trial = trials.next()
            if trial is None:
                search.watcher.say("every student that could be asked for was tried")
                break
            attempt.settle(trial, trials.noted_time(trial.model))
            _write(search, trials, attempt.task)
            if done is not None:
                done(trials.known()[trial.model], attempt.task.metric)
        return _write(search, trials, attempt.task)


def _finished(search: Search, first: Recipe) -> list[Candidate] | None:
    """The candidates of a search that has as many as are asked for; else None. Writes nothing.

    Raises:
        RunError: the directory holds another search, or a file of it is damaged or was edited.
    """
    begun = search.out.is_dir() and CLAIM.begun(search.out, _asked(search, first))
    there = [search.out / name for name in (TABLE, RECIPE) if (search.out / name).is_file()]
    if search.out / RECIPE in there:
        read_checked_text(search.out / RECIPE, RunError, TrialList.AGAIN)
    if not begun:
        return None
    trials = Trials(search.out / LOG, first.seeds[0])
    ranked = best_first(trials.known())
    if len(there) < 2 or (_tried(trials) < search.trials and trials.left()):
        return None
    same = TrialList.read(search.out / TABLE).trials == tuple(_trial(one) for one in ranked)
    return ranked if same else None


def _tried(trials: Trials) -> int:
    """How many students learnt, to their end or not."""
    return sum(one.outcome != REFUSED for one in trials.known().values())


class _Attempt:
    """One candidate after the other, on one loading of the data and one teacher."""

    def __init__(self, search: Search, recipe: Recipe) -> None:
        self._search = search
        self._data = SharedData(allow_imports=search.allow_imports).of(recipe)
        self._teachers: Teachers | None = None
        if self._data.validation is None or recipe.transfer is not None:
            raise RecipeError(
                "search",
                ["candidates are chosen on validation, and there are no validation data; "
                 "give data.validation, and no transfer"],
            )  # fmt: skip
        self.task = self._data.task.record
        if not self.task.metric.higher_is_better:
            said = f"a search looks for the highest {self.task.metric.name}, and less is better"
            raise RecipeError("search", [said])

    def settle(self, trial: Trial, noted: float | None) -> None:
        """Measure, refuse or train."""
        search = self._search
        network = make_network(ModelSection(model=trial.model), self._data).make(0)
        parameters, taken = describe(network).parameters, noted
        objection = search.budget.objection(parameters=parameters, milliseconds=None)
        if objection is None and taken is None:
            network = network.to(self._data.platform.device)
            (taken,) = latencies([network], [self._data.image_shape], batch=1)
        trial.measured(parameters, taken)
        objection = search.budget.objection(parameters=parameters, milliseconds=taken)
        if objection is not None:
            trial.refused(objection)
            return
        try:
            trial.trained(self._validation(trial.model))
        except NonFiniteLoss as error:
            trial.diverged(str(error))

    def _validation(self, model: str) -> float:
        """The metric on validation of a short distillation of this student."""
        search = self._search
        recipe = search.recipe(model)
        job = prepare(
            recipe,
            search.out / "trials" / model,
            shared=search.place_of_teacher,
            allow_imports=search.allow_imports,
            watcher=search.watcher,
            data=self._data,
            tested=False,
        )
        seed = recipe.seeds[0]
        if self._teachers is None:
            self._teachers = Teachers(job)
        teacher = self._teachers.trained(seed)
        (run,) = train_group(_short(job, search.short(recipe)), teacher, (seed,)).runs
        value = run.validation(LAST)
        if value is None:
            raise RunError(f"{run.directory} has no value on validation")
        return value


def _short(job: Job, epochs: int) -> Job:
    """The job with a student of so many epochs, alone; its teacher was trained by the recipe's.

    What a schedule counts in epochs shrinks with them.
    """
    share, schedule = epochs / job.recipe.epochs, job.recipe.schedule
    told = schedule.settings()
    if "milestones" in told:
        told["milestones"] = tuple(share * milestone for milestone in told["milestones"])
    if "every" in told:
        told["every"] = share * told["every"]
    if "warmup" in told:
        told["warmup"] = share * told["warmup"]
    shorter = schedule.model_copy(update=told)
    changes: dict[str, Any] = {"epochs": epochs, "schedule": shorter, "control": False}
    if job.recipe.compile == "auto":
        changes["compile"] = False  # a few epochs never pay for a compilation
    return replace(job, recipe=job.recipe.model_copy(update=changes))


def best_first(known: Mapping[str, Candidate]) -> list[Candidate]:
    """Trained candidates by their metric (of equals the smaller one), then the others by number."""
    trained = [one for one in known.values() if one.validation is not None]
    rest = [one for one in known.values() if one.validation is None]
    trained.sort(key=lambda one: (-(one.validation or 0.0), one.parameters, one.number))
    return [*trained, *rest]


def _write(search: Search, trials: Trials, task: TaskRecord) -> list[Candidate]:
    """search.json and, once something was trained, the recipe of the best."""
    ranked, metric = best_first(trials.known()), task.metric
    listed = tuple(_trial(one) for one in ranked)
    TrialList(task=task, trials=listed).write(search.out / TABLE)
    best = next((one for one in ranked if one.outcome == TRAINED), None)
    if best is not None and best.validation is not None:
        recipe = search.recipe(best.model)
        count = sum(one.outcome == TRAINED for one in ranked)
        said = (
            f"# The best of {count} students by validation {metric.name} "
            f"({metric.with_unit(best.validation)}) after {search.short(recipe)} epochs:\n"
            f"# {best.parameters:,} parameters"
        )
        said += "" if best.milliseconds is None else f", {best.milliseconds:.2f} ms an image"
        plain = json.loads(json.dumps(search.with_student(best.model), default=str))
        text = yaml_text(plain)
        write_checked_text(search.out / RECIPE, f"{said}.\n{text}")
    return ranked


def _trial(one: Candidate) -> TrialRecord:
    return TrialRecord(**asdict(one))


def _asked(search: Search, recipe: Recipe) -> dict[str, Any]:
    """What decides the trials of a search, but for how many there are."""
    return {
        "recipe": same_run(resolved(recipe)),
        "budget": asdict(search.budget),
        "epochs": search.short(recipe),
    }
