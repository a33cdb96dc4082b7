"""Settings of the method that are chosen on validation, with one seed, before the run.

The candidates are students of the first seed on the teacher of the run. The test set is not read.
"""

from dataclasses import replace

from stillhouse.errors import RecipeError
from stillhouse.recipes.tuning import candidates
from stillhouse.records.files import finite
from stillhouse.records.names import slug
from stillhouse.records.run import Candidate, Tuning
from stillhouse.runs.group import train_group
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.stage_run import LAST
from stillhouse.runs.training.teachers import Teachers

FOLDER = "tune"


def check_tuning(job: Job) -> None:
    """Raises RecipeError where there is nothing to choose on."""
    if job.recipe.tune is not None and job.data.validation is None:
        said = "settings are chosen on validation, and data.validation leaves no rows for it"
        raise RecipeError("tune", [f"{said}; give it a share such as 0.1"])


def tuned(job: Job, teachers: Teachers) -> tuple[Job, Tuning | None]:
    """The job with the settings that are best on validation, and what was tried.

    Of equal ones the first is taken; the settings that the recipe asks for come first.

    Raises:
        NonFiniteLoss: a term of a candidate became nan or inf.
    """
    recipe, metric = job.recipe, job.task.metric
    if recipe.tune is None:
        return job, None
    seed = recipe.seeds[0]
    tried: list[Candidate] = []
    best = recipe.method
    for name, method in candidates(recipe.method, recipe.tune).items():
        own = recipe.model_copy(update={"method": method, "seeds": (seed,), "control": False})
        out = job.out / FOLDER / slug(name)
        group = train_group(replace(job, recipe=own, out=out), teachers.trained(seed), (seed,))
        found = group.runs[-1].validation(LAST)
        job.watcher.say(f"tune {name}: validation {metric.name} {metric.with_unit(found)}")
        if found is not None and all(metric.is_better(found, each.validation) for each in tried):
            best = method
        settings = finite(method.settings())
        tried.append(Candidate(name=name, settings=settings, validation=found or 0.0))
    chosen = next(each.name for each in tried if each.settings == finite(best.settings()))
    job.watcher.say(f"tune: {chosen} is taken, of {len(tried)} on validation with seed {seed}")
    tuning = Tuning(seed=seed, chosen=chosen, candidates=tuple(tried))
    return replace(job, recipe=recipe.model_copy(update={"method": best})), tuning
