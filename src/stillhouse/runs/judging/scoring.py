"""Scores of the networks of a run: on the test set once, and what is known of validation."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.objective import Objective
from stillhouse.engine.stage import Stage
from stillhouse.errors import RunError
from stillhouse.records.files import Reading
from stillhouse.records.fingerprint import fingerprint
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.integers import Shares, scored_forms
from stillhouse.runs.judging.likeness import Likeness, diagnostics_of
from stillhouse.runs.judging.regime import Regime, regime_of
from stillhouse.runs.judging.unseen import unseen_answers
from stillhouse.runs.training.stage_run import BEST, LAST, ScoresOn, StageRun, scores_on
from stillhouse.runs.training.teachers import TrainedTeacher, given_score


@dataclass(frozen=True)
class ScoredModel:
    """One model of the run with its scores.

    Args:
        role, seed: what tables call it.
        module: its network.
        run: its training; None of a given teacher.
        test: scores on the test set; the inference that it is judged by comes first.
        validation: of that inference, by epoch.
        teacher: the trained teacher of a student, if it had one.
        diagnostics: on validation, by the weights of the last epoch; of students and controls
            beside a teacher.
        notes: what was settled while its stage was composed, such as pairs of layers.
        heads_validation: validation scores of inferences beside the first, where known.
        answers: of each test row with the weights of the last epoch, by name.
        regime: what else is seen of its training.
        unseen: as ``answers``, of each row of the classes that were held out.
    """

    role: str
    seed: int
    module: nn.Module
    run: StageRun | None
    test: Shares
    validation: dict[str, float | None]
    teacher: nn.Module | None = None
    diagnostics: dict[str, Reading] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    heads_validation: Shares = field(default_factory=dict)
    answers: Mapping[str, Tensor] = field(default_factory=dict)
    regime: Regime = field(default_factory=Regime)
    unseen: Mapping[str, Tensor] = field(default_factory=dict)


def student_of(scored: Iterable[ScoredModel]) -> ScoredModel:
    """The first student of a run, whose weights are the run's product."""
    for one in scored:
        if one.role == "student":
            return one
    raise RunError("the run has no student")


class GivenScores(NamedTuple):
    """Of a teacher that came trained: on test, its metric on validation, and what is unseen."""

    test: ScoresOn
    validation: float | None
    unseen: Mapping[str, Tensor]


class HeldOutScores:
    """Scores on the test set; those of one epoch of one training are read once, whoever asks.

    So are those of a teacher that came trained, which all arms of a study may have.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], ScoresOn] = {}
        self._regimes: dict[Path, Regime] = {}
        self._unseen: dict[Path, Mapping[str, Tensor]] = {}
        self._given: dict[str, GivenScores] = {}

    def of(self, run: StageRun, stage: Stage | Objective) -> Shares:
        """The metric of a finished training, on its stage or on one of its product alone."""
        # The best epoch first: the stage is left with the weights of the last.
        asked = {which: (run.directory, LAST if run.best_epoch == run.epochs else which)
                 for which in (BEST, LAST)}  # fmt: skip
        missing = [key for key in dict.fromkeys(asked.values()) if key not in self._known]
        if missing:
            data, weights = run.training.job.data, (run.weights(which) for _, which in missing)
            found = scores_on(stage, run.training.settings, data, data.test, weights)
            self._known |= dict(zip(missing, found, strict=True))
        return {
            label: {which: self._known[asked[which]].metric[label] for which in (LAST, BEST)}
            for label in self._known[asked[LAST]].metric
        }

    def answers(self, run: StageRun) -> Mapping[str, Tensor]:
        """Of each test row, by a training that was scored, with the weights of its last epoch."""
        return self._known[run.directory, LAST].answers

    def regime(self, run: StageRun) -> Regime:
        """What else is seen of a finished training."""
        if run.directory not in self._regimes:
            self._regimes[run.directory] = regime_of(run)
        return self._regimes[run.directory]

    def unseen(self, run: StageRun, alone: Callable[[nn.Module], Stage]) -> Mapping[str, Tensor]:
        """Of each row of the classes that were held out, by the product of a finished training.

        ``alone`` is the stage of such a network by itself.
        """
        if run.directory not in self._unseen:
            job, module = run.training.job, run.module(LAST)
            self._unseen[run.directory] = unseen_answers(job, run.training.role, alone(module))
        return self._unseen[run.directory]

    def given(self, job: Job, trained: TrainedTeacher) -> GivenScores:
        """Of a teacher that came trained."""
        teacher, module, data = trained.teacher, trained.module, job.data
        key = fingerprint(
            {
                "teacher": teacher.identity(module),
                "section": teacher.section.model_dump(mode="json"),
                **data.identity(),
                "task": {"name": data.task.name, **data.task.settings},
                "precision": data.platform.precision,
            }
        )
        if key not in self._given:
            settings, own = job.settings(job.recipe.seeds[0]), {"student": module.state_dict()}
            stage = teacher.alone(module)
            (test,) = scores_on(stage, settings, data, data.test, [own])
            unseen = unseen_answers(job, teacher.role, stage)
            self._given[key] = GivenScores(test, given_score(job, trained), unseen)
        return self._given[key]


def score_teacher(job: Job, trained: TrainedTeacher, test: HeldOutScores) -> ScoredModel:
    """A teacher, or whom it comes from, with its scores."""
    role, run, module = trained.teacher.role, trained.run, trained.module
    if run is not None:
        return ScoredModel(
            role,
            trained.seed,
            module,
            run,
            test.of(run, trained.opens),
            _validation(run),
            notes=trained.check.kept,
            answers=test.answers(run),
            regime=test.regime(run),
            unseen=test.unseen(run, trained.teacher.alone),
        )
    given = test.given(job, trained)
    both = dict.fromkeys((LAST, BEST), given.test.metric["student"])
    validation: dict[str, float | None] = {"last": given.validation, "best": given.validation}
    return ScoredModel(
        role,
        trained.seed,
        module,
        None,
        {"student": both},
        validation,
        notes=trained.check.kept,
        answers=given.test.answers,
        unseen=given.unseen,
    )


def score_student(
    run: StageRun, teacher: nn.Module | None, likeness: Likeness | None, test: HeldOutScores
) -> ScoredModel:
    """A control or a student with its scores, by every inference that it has.

    Args:
        run: its training.
        teacher: its trained teacher, if it had one.
        likeness: what of the teacher it is compared with.
        test: where its scores are read.
    """
    stage = run.training.stage
    diagnostics = diagnostics_of(run, likeness)
    shares = test.of(run, run.opens)
    forms, rows = scored_forms(run)
    return ScoredModel(
        run.training.role,
        run.training.settings.seed,
        stage.role(run.keeps).module,
        run,
        {**shares, **forms},
        _validation(run),
        teacher,
        diagnostics,
        run.notes,
        {**_validation_beside(run, shares), **rows},
        test.answers(run),
        test.regime(run),
        test.unseen(run, run.training.job.scored_stage),
    )


def score_at_start(job: Job, seed: int) -> float:
    """The test metric of a student as it was made out of its teacher, before it learnt anything."""
    student = job.student.make(seed)
    return _at_start(job, student, seed, job.data.test).metric["student"]


def score_untrained(job: Job, seed: int) -> ScoredModel:
    """The control where there are no labels to train one with: the student as it starts."""
    student = job.student.make(seed)
    found = _at_start(job, student, seed, job.data.test)
    rows = job.data.validation
    known = None if rows is None else _at_start(job, student, seed, rows).metric["student"]
    both = dict.fromkeys((LAST, BEST), found.metric["student"])
    return ScoredModel(
        "control",
        seed,
        student,
        None,
        {"student": both},
        dict.fromkeys((LAST, BEST), known),
        notes={"training": "none: the student as it starts"},
        answers=found.answers,
    )


def _at_start(job: Job, student: nn.Module, seed: int, table: Batches) -> ScoresOn:
    stage, own = job.scored_stage(student), {"student": student.state_dict()}
    (found,) = scores_on(stage, job.settings(seed), job.data, table, [own])
    return found


def _validation_beside(run: StageRun, shares: Shares) -> Shares:
    """Of every inference but the first, where there is validation."""
    known = {
        label: {which: run.validation(which, label) for which in (LAST, BEST)}
        for label in list(shares)[1:]
    }
    return {
        label: {which: value for which, value in values.items() if value is not None}
        for label, values in known.items()
        if all(value is not None for value in values.values())
    }


def _validation(run: StageRun) -> dict[str, float | None]:
    return {which: run.validation(which) for which in (LAST, BEST)}
