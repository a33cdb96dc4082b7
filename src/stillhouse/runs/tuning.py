"""Settings of the method that are chosen on validation, with one seed, before the run.

The candidates are students of the first seed on the teacher of the run. The test set is not read.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stillhouse.errors import NonFiniteLoss, RecipeError
from stillhouse.recipes.choices import Choice
from stillhouse.recipes.tuning import candidates
from stillhouse.records.files import finite
from stillhouse.records.metric import Metric
from stillhouse.records.names import distinct_names
from stillhouse.records.run import Candidate, Tuning
from stillhouse.runs.group import train_group
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.watcher import Renamed
from stillhouse.runs.training.stage_run import LAST
from stillhouse.runs.training.teachers import Teachers

FOLDER, CANDIDATE = "tune", "candidate"


def check_tuning(job: Job) -> None:
    """Raises RecipeError where there is nothing to choose on."""
    if job.recipe.tune is not None and job.data.validation is None:
        said = "settings are chosen on validation, and data.validation leaves no rows for it"
        raise RecipeError("tune", [f"{said}; give it a share such as 0.1"])


def tuned(job: Job, teachers: Teachers) -> tuple[Job, Tuning | None]:
    """The job with the settings that are best on validation, and what was tried.

    Of equal ones the first is taken; the settings that the recipe asks for come first. One that
    diverges is a candidate without a number.

    Raises:
        NonFiniteLoss: a term of each candidate became nan or inf.
    """
    recipe = job.recipe
    if recipe.tune is None:
        return job, None
    seed, methods = recipe.seeds[0], candidates(recipe.method, recipe.tune)
    folders = distinct_names(methods)
    tried: list[Candidate] = []
    failures: list[NonFiniteLoss] = []
    for name, method in methods.items():
        found, why = None, ""
        try:
            found = _validated(job, teachers, method, job.out / FOLDER / folders[name])
        except NonFiniteLoss as error:
            failures.append(error)
            why = str(error).split(";")[0]
        known = job.task.metric.with_unit(found) if found is not None else "is no number"
        said = f"diverged ({why})" if why else f"validation {job.task.metric.name} {known}"
        job.watcher.say(f"tune {name}: {said}")
        settings = finite(method.settings())
        tried.append(Candidate(name=name, settings=settings, validation=found, diverged=why))
    if len(failures) == len(tried):
        raise failures[0]
    chosen = _best(tried, job.task.metric)
    job.watcher.say(f"tune: {chosen} is taken, of {len(tried)} on validation with seed {seed}")
    tuning = Tuning(seed=seed, chosen=chosen, candidates=tuple(tried))
    return replace(job, recipe=recipe.model_copy(update={"method": methods[chosen]})), tuning


def _validated(job: Job, teachers: Teachers, method: Choice, out: Path) -> float | None:
    """Train one candidate; its metric on validation, last epoch, None where that is no number."""
    seed = job.recipe.seeds[0]
    own = job.recipe.model_copy(update={"method": method, "seeds": (seed,), "control": False})
    job = replace(job, recipe=own, out=out, watcher=Renamed(job.watcher, CANDIDATE))
    group = train_group(job, teachers.trained(seed), (seed,))
    found: float | None = finite(group.runs[-1].validation(LAST))
    return found


def _best(tried: Sequence[Candidate], metric: Metric) -> str:
    """The name of the best; of those without a number the first that did not diverge."""
    known = [(each.name, each.validation) for each in tried if each.validation is not None]
    if not known:
        return next(each.name for each in tried if not each.diverged)
    return max(known, key=lambda pair: metric.gain(pair[1], 0.0))[0]
