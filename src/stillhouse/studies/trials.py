"""The trials of a search in their database: asked one after the other, also after a kill.

The same trials come whether a search was stopped or not: the sampler is seeded anew for each, by
the seed of the search and the number of trials that are settled, and what was going on when a
search was killed is asked again.
"""

import logging
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import MissingExtra, RunError
from stillhouse.students.space import choices, suggest

STUDY = "students"
OUTCOME, VALIDATION = "outcome", "validation"
TRAINED, REFUSED, DIVERGED, AGAIN = "trained", "refused", "diverged", "again"
"""What became of a trial; ``again``: its model had been tried."""
PATIENCE = 20
"""Trials in a row that ask for what was tried: then an untried model is asked for."""
SEEDS_APART = 1000


@dataclass(frozen=True)
class Candidate:
    """A model that was tried.

    Args:
        number: of the trial, from 0.
        outcome: trained, refused or diverged.
        validation: the metric on validation, of the last epoch; None where it was not trained
            to the end.
        why: what was said of a refused or diverged one.
    """

    number: int
    model: str
    outcome: str
    parameters: int
    milliseconds: float | None
    validation: float | None
    why: str = ""


class Trials:
    """An Optuna study in a file; close it in the end.

    Raises:
        MissingExtra: Optuna is not installed.
        RunError: the file is damaged.
    """

    def __init__(self, file: Path, seed: int) -> None:
        self._optuna = _optuna()
        self._seed = seed
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        try:
            _look_inside(file)
            self._storage = self._optuna.storages.RDBStorage(_address(file))
            _without_waiting(self._storage.engine)
            self._study = self._optuna.create_study(
                study_name=STUDY, storage=self._storage, direction="maximize", load_if_exists=True
            )
        except Exception as error:
            said = str(error).strip().splitlines()[0]
            raise RunError(
                f"{file} cannot be read as the trials of a search ({said}); delete it to begin anew"
            ) from error
        self._forget_stopped()

    def close(self) -> None:
        """Let go of the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _forget_stopped(self) -> None:
        """Trials that were going on when a search was killed count for nothing."""
        states = self._optuna.trial.TrialState
        for trial in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            if OUTCOME not in trial.user_attrs:
                self._study.tell(trial.number, state=states.FAIL)
            elif VALIDATION in trial.user_attrs:  # killed between its outcome and its end
                self._study.tell(trial.number, trial.user_attrs[VALIDATION])
            else:
                self._study.tell(trial.number, state=states.PRUNED)

    def _settled(self) -> list[Any]:
        return [t for t in self._study.get_trials(deepcopy=False) if OUTCOME in t.user_attrs]

    def known(self) -> dict[str, Candidate]:
        """What was tried so far, by model, in order."""
        return {
            one.user_attrs["model"]: Candidate(
                one.number,
                one.user_attrs["model"],
                one.user_attrs[OUTCOME],
                one.user_attrs["parameters"],
                one.user_attrs.get("milliseconds"),
                one.user_attrs.get(VALIDATION),
                one.user_attrs.get("why", ""),
            )
            for one in self._settled()
            if one.user_attrs[OUTCOME] != AGAIN
        }

    def noted_time(self, model: str) -> float | None:
        """How long a model took when it was measured, if it ever was, so that it stays so."""
        for one in self._study.get_trials(deepcopy=False):
            if one.user_attrs.get("model") == model and "milliseconds" in one.user_attrs:
                return float(one.user_attrs["milliseconds"])
        return None

    def next(self) -> "Trial | None":
        """A model that was not tried before; None when all were."""
        while True:
            known, settled = self.known(), self._settled()
            left = [settings for settings, name in choices() if name not in known]
            if not left:
                return None
            seed = self._seed + len(settled) * SEEDS_APART
            repeated = [trial.user_attrs[OUTCOME] == AGAIN for trial in settled[-PATIENCE:]]
            if len(repeated) == PATIENCE and all(repeated):
                self._study.enqueue_trial(random.Random(seed).choice(left), skip_if_exists=True)
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed)
            trial = Trial(self._study, self._study.ask(), self._optuna.trial.TrialState.PRUNED)
            if trial.model not in known:
                return trial
            trial.again(known[trial.model])


class Trial:
    """A trial that waits for what becomes of it."""

    def __init__(self, study: Any, trial: Any, pruned: Any) -> None:
        self._study, self._trial, self._pruned = study, trial, pruned
        self.model = suggest(trial)
        self.number = int(trial.number)
        trial.set_user_attr("model", self.model)

    def measured(self, parameters: int, milliseconds: float | None) -> None:
        """Note what it costs."""
        self._trial.set_user_attr("parameters", parameters)
        if milliseconds is not None:
            self._trial.set_user_attr("milliseconds", milliseconds)

    def refused(self, why: str) -> None:
        """It costs too much."""
        self._end(REFUSED, None, why)

    def diverged(self, why: str) -> None:
        """Its training failed."""
        self._end(DIVERGED, None, why)

    def trained(self, validation: float) -> None:
        """It learnt, and has this value on validation."""
        self._end(TRAINED, validation, "")

    def again(self, before: Candidate) -> None:
        """It was tried before: the same comes out."""
        self._end(AGAIN, before.validation, "")

    def _end(self, outcome: str, validation: float | None, why: str) -> None:
        for key, value in ((VALIDATION, validation), ("why", why or None), (OUTCOME, outcome)):
            if value is not None:
                self._trial.set_user_attr(key, value)
        if validation is None:
            self._study.tell(self._trial, state=self._pruned)
        else:
            self._study.tell(self._trial, validation)


def _look_inside(file: Path) -> None:
    """Raise where a file is no database: Optuna would leave its connection open then."""
    if file.exists():
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()


def _address(file: Path) -> str:
    from sqlalchemy.engine import URL  # Optuna brings it

    return str(URL.create("sqlite", database=str(file)).render_as_string())


def _without_waiting(engine: Any) -> None:
    """Let the system write when it likes: a killed search loses nothing, only a power cut could."""
    from sqlalchemy import event

    def opened(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(engine, "connect", opened)
    engine.dispose()  # so that all connections are opened anew


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as absent:
        raise MissingExtra("a search", "optuna", "search") from absent
    return optuna
