"""The outcome of a run that was finished before, from its directory alone."""

from functools import cached_property
from pathlib import Path

from torch import nn

from stillhouse.deploy.predictor import load as load_predictor
from stillhouse.errors import ModelError, RunError, StillhouseError
from stillhouse.recipes import make_recipe
from stillhouse.records.run import SCORES
from stillhouse.report import read_run
from stillhouse.runs.directory import read_resolved
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.kept_networks import kept_network
from stillhouse.runs.outcome import STUDENT, Outcome
from stillhouse.runs.run import prepare


def open_run(
    directory: Path, *, shared: Path | None = None, allow_imports: bool = False
) -> Outcome:
    """What a run came to.

    Args:
        directory: of the run.
        shared: where its teachers and controls are kept; beside the directory by default.
        allow_imports: whether networks of the form 'python:package:function' may be imported.

    Raises:
        RunError: there is no run, it is not finished, or a file of it is damaged.
    """
    scores = read_run(directory).scores
    if scores is None:
        raise RunError(
            f"the run in {directory} is not finished: it has no {SCORES}; go on with it by the "
            f"call that began it, or 'stillhouse resume {directory}'"
        )
    return Outcome(directory, scores.plain(), _Reopened(directory, shared, allow_imports))


class _Reopened:
    """Builds the networks of a run again, when one is asked for."""

    def __init__(self, directory: Path, shared: Path | None, allow_imports: bool) -> None:
        self._directory, self._shared, self._allow = directory, shared, allow_imports

    def __call__(self, role: str) -> nn.Module | None:
        if role == STUDENT:
            try:
                return load_predictor(self._directory).model
            except ModelError:  # it has no name to be built by: as the run built it
                pass
        return kept_network(self._job, role)

    @cached_property
    def _job(self) -> Job:
        """The job of the run; its data are loaded, since fingerprints hold them."""
        try:
            recipe = make_recipe(read_resolved(self._directory), where=str(self._directory))
            return prepare(recipe, self._directory, shared=self._shared, allow_imports=self._allow)
        except StillhouseError as error:
            raise RunError(
                f"the networks of {self._directory} cannot be built again from its files: {error}. "
                "What was given as an object in Python is at hand by the call that made the run: "
                "made again, it finds the run finished"
            ) from error
