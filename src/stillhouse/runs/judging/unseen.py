"""What networks say of classes that were held out, by the task that such tables are of."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from stillhouse.engine.stage import Stage
from stillhouse.errors import ModelError, WiringError
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.stage_run import scores_on

STUDENT = "student"


def unseen_answers(job: Job, role: str, stage: Stage) -> Mapping[str, Tensor]:
    """Of each row of the classes that were held out (`Splits.unseen`).

    Args:
        job: of the network.
        role: what messages call it.
        stage: of the trained network alone, with the weights that are measured.

    Returns:
        Empty where nothing was held out, or the network has no embedding, which is said.
    """
    table, judge = job.data.unseen, job.task.of_unseen
    if table is None or judge is None:
        return {}
    settings, data = job.settings(job.recipe.seeds[0], compile=False), replace(job.data, task=judge)
    try:
        alone = replace(stage.with_task(judge), updates=(), only_scored=True)
        weights = {STUDENT: alone.role(STUDENT).module.state_dict()}
        (found,) = scores_on(alone, settings, data, table, [weights])
    except (ModelError, WiringError) as error:
        job.watcher.warn(f"{role}: the unseen classes are not measured by its embedding: {error}")
        return {}
    return found.answers
