"""The trials of a search, kept in a checked file: asked one after the other, also after a kill.

The same trials come whether a search was stopped or not: Optuna's study lives in memory and is made
again from the file, the sampler is seeded anew for each trial, by the seed of the search and the
number of trials that are settled, and what was going on when a search was killed is asked again.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import MissingExtra
from stillhouse.records.study import SettledTrial, TrialLog
from stillhouse.students.space import choices, suggest

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
    """The trials that are settled, and the next one.

    Args:
        file: they are kept in; may not exist.
        seed: of the search.

    Raises:
        MissingExtra: Optuna is not installed.
        RunError: the file is damaged.
    """

    def __init__(self, file: Path, seed: int) -> None:
        self._optuna = _optuna()
        self._file, self._seed = file, seed
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        log = TrialLog.read(file) if file.exists() else TrialLog(trials=(), measured={})
        self._settled, self._measured = list(log.trials), dict(log.measured)
        self._study = self._optuna.create_study(direction="maximize")
        for one in self._settled:
            self._study.add_trial(self._as_optuna_has_it(one))

    def _as_optuna_has_it(self, one: SettledTrial) -> Any:
        read = self._optuna.distributions.json_to_distribution
        return self._optuna.trial.create_trial(
            state=self._state(one.validation),
            value=one.validation,
            params=one.settings,
            distributions={name: read(text) for name, text in one.distributions.items()},
        )

    def _state(self, validation: float | None) -> Any:
        states = self._optuna.trial.TrialState
        return states.PRUNED if validation is None else states.COMPLETE

    def known(self) -> dict[str, Candidate]:
        """What was tried so far, by model, in order."""
        return {
            one.model: Candidate(number, one.model, one.outcome, one.parameters, one.milliseconds,
                                 one.validation, one.why)
            for number, one in enumerate(self._settled)
            if one.outcome != AGAIN
        }  # fmt: skip

    def left(self) -> list[dict[str, Any]]:
        """The settings whose models were not tried."""
        known = self.known()
        return [settings for settings, name in choices() if name not in known]

    def noted_time(self, model: str) -> float | None:
        """How long a model took when it was measured, if it ever was, so that it stays so."""
        return self._measured.get(model)

    def note_time(self, model: str, milliseconds: float) -> None:
        """Keep it, also where the search is killed before the trial is settled."""
        self._measured[model] = milliseconds
        self._write()

    def next(self) -> "Trial | None":
        """A model that was not tried before; None when all were."""
        while left := self.left():
            seed = self._seed + len(self._settled) * SEEDS_APART
            repeated = [one.outcome == AGAIN for one in self._settled[-PATIENCE:]]
            if len(repeated) == PATIENCE and all(repeated):
                self._study.enqueue_trial(random.Random(seed).choice(left), skip_if_exists=True)
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed)
            trial, known = Trial(self, self._study.ask()), self.known()
            if trial.model not in known:
                return trial
            trial.again(known[trial.model])
        return None

    def settle(self, asked: Any, settled: SettledTrial) -> None:
        """Keep what became of a trial of Optuna's."""
        write = self._optuna.distributions.distribution_to_json
        told = {name: write(each) for name, each in asked.distributions.items()}
        whole = {"settings": dict(asked.params), "distributions": told}
        self._settled.append(settled.model_copy(update=whole))
        self._write()
        self._study.tell(asked, settled.validation, state=self._state(settled.validation))

    def _write(self) -> None:
        TrialLog(trials=tuple(self._settled), measured=self._measured).write(self._file)


class Trial:
    """A trial that waits for what becomes of it."""

    def __init__(self, trials: Trials, asked: Any) -> None:
        self._trials, self._asked = trials, asked
        self._parameters = 0
        self._milliseconds: float | None = None
        self.model = suggest(asked)

    def measured(self, parameters: int, milliseconds: float | None) -> None:
        """Note what it costs."""
        self._parameters, self._milliseconds = parameters, milliseconds
        if milliseconds is not None:
            self._trials.note_time(self.model, milliseconds)

    def refused(self, why: str) -> None:
        """It costs too much."""
        self._end(REFUSED, None, why)

    def diverged(self, why: str) -> None:
        """Its training failed."""
        self._end(DIVERGED, None, why)

    def trained(self, validation: float) -> None:
        """It learnt, and has this value on validation."""
        self._end(TRAINED, validation)

    def again(self, before: Candidate) -> None:
        """It was tried before: the same comes out."""
        self._parameters, self._milliseconds = before.parameters, before.milliseconds
        self._end(AGAIN, before.validation)

    def _end(self, outcome: str, validation: float | None, why: str = "") -> None:
        settled = SettledTrial(
            settings={},
            distributions={},
            model=self.model,
            outcome=outcome,
            parameters=self._parameters,
            milliseconds=self._milliseconds,
            validation=validation,
            why=why,
        )
        self._trials.settle(self._asked, settled)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as absent:
        raise MissingExtra("a search", "optuna", "search") from absent
    return optuna
