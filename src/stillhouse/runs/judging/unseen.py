"""What embeddings are worth on classes that were held out of everything: an open set."""

from dataclasses import replace

from stillhouse.engine.evaluate import evaluate
from stillhouse.engine.seeding import seeded
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import opened
from stillhouse.errors import DataError, ModelError, WiringError
from stillhouse.runs.job.job import Job
from stillhouse.tasks.verification import Verification

COMPARED = Verification(margin="none")
"""No margin: nothing is trained here, and heads of a classifier give no cosines."""


def on_unseen(job: Job, role: str, stage: Stage) -> dict[str, float]:
    """Verification of the held-out classes (`Splits.unseen`) by the embedding of a network.

    Args:
        job: its data are measured, where classes were held out.
        role: what messages call the network.
        stage: of the trained network alone, with the weights that are measured.

    Returns:
        EER, AUC and TAR at each FAR that the pairs can show, as shares; empty where nothing was
        held out, or the network has no embedding to compare, which is said.
    """
    table, seed = job.data.unseen, job.recipe.seeds[0]
    if table is None:
        return {}
    settings, train = job.settings(seed, compile=False), job.data.train(seed)
    platform = job.data.platform
    try:
        measured = replace(stage.with_task(COMPARED), updates=(), only_scored=True)
        with seeded(seed, "fit"), opened(measured, train, settings, platform) as objective:
            scores = evaluate(objective, table, platform)
    except (DataError, ModelError, WiringError) as error:
        job.watcher.warn(f"{role}: the unseen classes are not measured by its embedding: {error}")
        return {}
    return next(iter(scores.values()))
