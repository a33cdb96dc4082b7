"""What is to be said where patience ended trainings before their last epoch."""

from collections.abc import Iterator, Sequence

from stillhouse.records.run import ModelRecord
from stillhouse.runs.training.stage_run import StageRun


def cut_short(run: StageRun) -> int | None:
    """How many epochs a training could have had, where patience ended it before; else None."""
    settings = run.training.settings
    whole = settings.last_epoch
    return whole if settings.patience is not None and run.epochs < whole else None


def early_ends(models: Sequence[ModelRecord]) -> Iterator[str]:
    """A sentence on how long student and control learnt, where patience ended one of them."""
    compared = [model for model in models if model.role in ("control", "student")]
    whole = {run.of_epochs for model in compared for run in model.runs if run.of_epochs}
    if not whole:
        return
    made = "; ".join(f"{each.role} {_epochs(each)}" for each in compared)
    said = f"Patience ended trainings early. Epochs of {max(whole)}, by seed: {made}. "
    if len(compared) > 1:
        said += "They had the same most and the same schedule, not the same number of steps. "
    yield said + "Scores are those of the epoch at which each ended."


def _epochs(model: ModelRecord) -> str:
    """The epochs of its seeds, in order.

    >>> _epochs(ModelRecord(role="student", model="net", parameters=1, bytes=4, runs=()))
    ''
    """
    return ", ".join(str(run.epochs) for run in model.runs)
