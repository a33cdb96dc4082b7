"""The forecast of a run, or of the arms of a study, in a line, before anything is trained."""

from collections.abc import Iterable

from stillhouse.errors import StillhouseError
from stillhouse.recipes import make_recipe, override
from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.runs.estimate import together
from stillhouse.runs.job.job import Job
from stillhouse.runs.timing import STEPS, Clock, estimate

FEW = 1000
"""Steps of a run up to which timing some of them is not worth it."""
FEW_STEPS = f"forecast: fewer than {FEW:,} steps in all, too few to be timed beforehand"


def forecast_of(jobs: Iterable[Job], *, clock: Clock = STEPS) -> str | None:
    """The forecast of a run, or of the arms of a study together, in a line.

    None where all of it is so few steps that timing some of them is not worth it.
    """
    jobs = list(jobs)
    if sum(map(steps_of, jobs)) < FEW:
        return None
    made = together({str(job.out): estimate(job, clock=clock) for job in jobs})
    trials = made.trials()
    allowed = (each for each in trials if all(_allows(job.recipe, each) for job in jobs))
    return made.told(next(allowed, None))


def steps_of(job: Job) -> int:
    """Steps of all trainings of a job, whether they were done before or not."""
    recipe, each = job.recipe, max(len(job.data.splits.train) // job.recipe.batch, 1)
    own = [one.section.epochs or recipe.epochs for one in job.teachers if not one.given]
    return each * (len(recipe.seeds) * (1 + recipe.control) * recipe.epochs + sum(own))


def _allows(recipe: Recipe, epochs: int) -> bool:
    """Whether a recipe can be run for so many epochs: its schedule may have later milestones."""
    try:
        make_recipe(override(resolved(recipe), [f"epochs={epochs}"]))
    except StillhouseError:
        return False
    return True
