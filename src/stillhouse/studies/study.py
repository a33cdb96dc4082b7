"""A study from start to end: check every arm, run one after the other, compare them."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from stillhouse.errors import ProblemsError, RecipeError, StillhouseError
from stillhouse.recipes.study import Study, by_arm
from stillhouse.records.metric import Metric
from stillhouse.records.run import REPORT, SCORES
from stillhouse.records.study import TABLE, Arm, StudyTable
from stillhouse.report import write_study_report
from stillhouse.runs.directory import check_places
from stillhouse.runs.forecasts import forecast_of
from stillhouse.runs.job.counter import StudentCounter
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.watcher import Heard, SilentWatcher, Watcher
from stillhouse.runs.judging.kept_networks import kept_network
from stillhouse.runs.judging.scoring import HeldOutScores
from stillhouse.runs.opening import open_run
from stillhouse.runs.outcome import Outcome
from stillhouse.runs.run import SHARED, prepare
from stillhouse.runs.training.tracked import scope_of
from stillhouse.studies.arms import SharedData, arm_fingerprint
from stillhouse.studies.directory import (
    arm_directories,
    check_arms,
    check_claims,
    held,
    is_asked,
    is_study_directory,
    noted_folders,
    read_study_table,
    write_study,
)
from stillhouse.studies.outcome import StudyOutcome
from stillhouse.studies.pieces import State, run_arm
from stillhouse.studies.table import FINISHED, WAITING, arm_line, study_table
from stillhouse.tracking import Scope, Tracking, study_summary

Arms = Callable[["PreparedStudy", Mapping[str, str]], Iterator[tuple[str, State]]]
"""Runs the arms of a study that wait (by name, with their fingerprints) and gives what came of each
as it ends."""


@dataclass(frozen=True)
class PreparedStudy:
    """A study whose arms all fit together. Made by `prepare_study`."""

    study: Study
    out: Path
    jobs: Mapping[str, Job]
    watcher: Watcher = field(default_factory=SilentWatcher)

    @property
    def metric(self) -> Metric:
        """What its arms are measured by."""
        return next(iter(self.jobs.values())).task.metric


def prepare_study(
    study: Study,
    out: Path,
    *,
    shared: Path | None = None,
    allow_imports: bool = False,
    watcher: Watcher | None = None,
) -> PreparedStudy:
    """Load the data once and check every arm; trains nothing.

    Raises:
        StillhouseError: with the problems of all arms.
    """
    watcher = watcher or SilentWatcher()
    shared = shared or out.resolve().parent / SHARED
    data, directories = (
        SharedData(allow_imports=allow_imports),
        arm_directories(out, study.arms, noted_folders(out)),
    )
    scored = all((each / SCORES).is_file() for each in directories.values())
    check_places(out, shared, done=scored and (out / TABLE).is_file())
    jobs: dict[str, Job] = {}
    heard = Heard(watcher)  # what all arms have in common is told once
    problems: dict[str, list[str]] = {}
    for name, recipe in study.arms.items():
        try:
            job = prepare(
                recipe,
                directories[name],
                shared=shared,
                allow_imports=allow_imports,
                watcher=heard,
                data=data.of(recipe),
            )
            jobs[name] = replace(job, watcher=watcher)
        except ProblemsError as error:
            problems[name] = [f"{error.where}: {problem}" for problem in error.problems]
        except StillhouseError as error:
            problems[name] = [str(error)]
    if problems:
        raise RecipeError(study.title, by_arm(problems, of=len(study.arms)))
    return PreparedStudy(study, out, jobs, watcher)


def run_study(
    prepared: PreparedStudy,
    *,
    done: Callable[[Mapping[str, Any]], None] | None = None,
    arms: Arms | None = None,
) -> StudyOutcome:
    """Run every arm, or go on with the study, or find it finished.

    An arm whose loss becomes nan or inf is a row that says so; any other error stops the study.

    Args:
        prepared: the study.
        done: hears of each arm that has ended, as its part of study.json.
        arms: runs them somewhere else; here, one after another, by default.

    Raises:
        RunError: the directory belongs to something else, or is in use, or an arm was changed
            after it was run; nothing is overwritten then.
    """
    study, out, watcher = prepared.study, prepared.out, prepared.watcher
    platform = next(iter(prepared.jobs.values())).data.platform
    hear = done or (lambda entry: watcher.say(arm_line(entry, prepared.metric)))
    kept = _finished(prepared)
    if kept is not None:
        watcher.say(f"finished before, taken from {out}")
        return StudyOutcome(out, kept.plain(), _opens(prepared))
    with platform.main_holds(lambda: held(out)), _tracking(prepared) as tracking:
        check_arms({name: (job.out, job.recipe) for name, job in prepared.jobs.items()})
        check_claims(study, out)
        notes = _Notes(prepared)
        platform.wait()  # all have read what was there before anything is written
        table = platform.by_main(lambda: notes.begin(study)) or {}
        forecast = forecast_of(prepared.jobs.values()) if arms is None else None
        if forecast is not None:
            watcher.say(forecast)
        waiting = notes.waiting
        if waiting:
            notes.work()
        here = partial(_one_after_another, tracking=tracking)
        for name, state in (arms or here)(prepared, waiting):
            notes.states[name] = state
            table = platform.by_main(notes.write) or {}
            if platform.main:
                hear(next(entry for entry in table["arms"] if entry["name"] == name))
        if tracking is not None:
            _conclude(tracking, prepared)
        return StudyOutcome(out, table, _opens(prepared))


def _one_after_another(
    prepared: PreparedStudy, waiting: Mapping[str, str], *, tracking: Tracking | None
) -> Iterator[tuple[str, State]]:
    """The arms of a study, run here."""
    watcher, held_out = prepared.watcher, HeldOutScores()
    students = [len(job.recipe.seeds) for job in prepared.jobs.values()]
    for position, (name, job) in enumerate(prepared.jobs.items(), start=1):
        watcher.say(f"arm {position} of {len(prepared.jobs)}: {name}")
        before = sum(students[: position - 1])
        watcher.overall(before, sum(students))
        if name not in waiting:
            watcher.say("finished before")
            continue
        counter = StudentCounter(job.watcher, before, sum(students))
        if tracking is not None:
            job = replace(job, tracked=scope_of(tracking, job.recipe, job.out, name))
        yield name, run_arm(name, job, waiting[name], counter, held_out)
    watcher.overall(sum(students), sum(students))


def _opens(prepared: PreparedStudy) -> Callable[[str], Outcome]:
    """Gives the outcome of an arm by its name, with its networks as they were kept."""

    def opened(name: str) -> Outcome:
        job = prepared.jobs[name]
        return replace(open_run(job.out), network=partial(kept_network, job))

    return opened


@contextmanager
def _tracking(prepared: PreparedStudy) -> Iterator[Tracking | None]:
    """The trackers of all arms, in the process that writes; None where no arm asks for any."""
    jobs = list(prepared.jobs.values())
    if not jobs[0].data.platform.main or all(job.recipe.track is None for job in jobs):
        yield None
        return
    tracking = Tracking(prepared.out, prepared.watcher.warn)
    try:
        yield tracking
    finally:
        tracking.close()


def _conclude(tracking: Tracking, prepared: PreparedStudy) -> None:
    """Tell what came out of the study to the trackers of its arms."""
    summary = study_summary(StudyTable.read(prepared.out / TABLE), prepared.out)
    told = {job.recipe.track for job in prepared.jobs.values()} - {None}
    for section in sorted(filter(None, told), key=lambda each: each.to):
        Scope(tracking, section.to, section.project, prepared.out).conclude(summary)


def _finished(prepared: PreparedStudy) -> StudyTable | None:
    """The table of a study that is finished and says all that it would say now; writes nothing.

    Raises:
        RunError: a file of it or of an arm is damaged, or an arm was changed after it was run.
    """
    out = prepared.out
    if not (is_study_directory(out) and (out / TABLE).is_file() and (out / REPORT).is_file()):
        return None
    check_arms({name: (job.out, job.recipe) for name, job in prepared.jobs.items()})
    notes = _Notes(prepared)
    if any(state["state"] != FINISHED for state in notes.states.values()):
        return None
    table = notes.table()
    same = is_asked(out, prepared.study.values) and table == read_study_table(out)
    return table if same else None


class _Notes:
    """What is known of the arms, kept in study.json."""

    def __init__(self, prepared: PreparedStudy) -> None:
        self._prepared = prepared
        self._began: float | None = None
        before = read_study_table(prepared.out)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._created = before.created if before else now
        self._spent = before.seconds if before else 0.0
        known = {arm.name: arm for arm in before.arms} if before else {}
        self.marks = {name: arm_fingerprint(job) for name, job in prepared.jobs.items()}
        self.states: dict[str, State] = {
            name: _state(known.get(name), job, self.marks[name])
            for name, job in prepared.jobs.items()
        }

    @property
    def waiting(self) -> dict[str, str]:
        """The fingerprints of the arms that are not finished, by name."""
        states = self.states.items()
        return {name: self.marks[name] for name, each in states if each["state"] != FINISHED}

    def begin(self, study: Study) -> dict[str, Any]:
        """Keep the study as it was asked for, and what is known of its arms."""
        write_study(self._prepared.out, study.values)
        return self.write()

    def work(self) -> None:
        """An arm is run from here on: until then nothing takes time, and nothing is rewritten."""
        self._began = self._began or time.perf_counter()

    def table(self) -> StudyTable:
        """What study.json is to say now."""
        prepared = self._prepared
        now = time.perf_counter()
        return study_table(
            prepared.study,
            prepared.out,
            {name: job.out for name, job in prepared.jobs.items()},
            self.states,
            created=self._created,
            seconds=self._spent + now - (self._began or now),
        )

    def write(self) -> dict[str, Any]:
        """Rewrite study.json, where it says something else now."""
        prepared, table = self._prepared, self.table()
        table.write(prepared.out / TABLE)
        if any(arm.state != WAITING for arm in table.arms):
            write_study_report(prepared.out)
        return table.plain()


def _state(arm: Arm | None, job: Job, mark: str) -> State:
    """What study.json said of an arm; nothing counts of another one, or without the numbers."""
    known = arm is not None and arm.state == FINISHED and arm.fingerprint == mark
    if not known or not (job.out / SCORES).is_file():
        return {"state": WAITING}
    return {"state": FINISHED, "fingerprint": mark}
