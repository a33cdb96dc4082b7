"""A study from start to end: check every arm, run one after the other, compare them."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stillhouse.errors import (
    NonFiniteLoss,
    ProblemsError,
    RecipeError,
    RunError,
    StillhouseError,
)
from stillhouse.models import weights_fingerprint
from stillhouse.recipes.schema import resolved
from stillhouse.recipes.study import Study, by_arm
from stillhouse.records.run import SCORES
from stillhouse.records.study import TABLE, Arm
from stillhouse.report import write_study_report
from stillhouse.runs.ancestors import family
from stillhouse.runs.directory import same_run
from stillhouse.runs.distill import Distillation
from stillhouse.runs.job import SHARED, prepare, run
from stillhouse.runs.study_data import SharedData
from stillhouse.runs.study_directory import (
    arm_directories,
    check_arms,
    held,
    noted_folders,
    read_study_table,
    write_study,
)
from stillhouse.runs.study_table import DIVERGED, FINISHED, WAITING, arm_line, study_table
from stillhouse.runs.study_watcher import STUDENT, Attentive
from stillhouse.runs.watching import Quiet, Watcher

State = dict[str, str]


@dataclass(frozen=True)
class PreparedStudy:
    """A study whose arms all fit together. Made by `prepare_study`."""

    study: Study
    out: Path
    jobs: Mapping[str, Distillation]
    watcher: Watcher = field(default_factory=Quiet)


@dataclass(frozen=True)
class StudyOutcome:
    """A finished study.

    Args:
        directory: all its files.
        table: the content of study.json.
    """

    directory: Path
    table: Mapping[str, Any]

    @property
    def report(self) -> Path:
        """The report."""
        return self.directory / "report.html"


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
    watcher = watcher or Quiet()
    shared = shared or out.resolve().parent / SHARED
    data, directories = SharedData(), arm_directories(out, study.arms, noted_folders(out))
    jobs: dict[str, Distillation] = {}
    problems: dict[str, list[str]] = {}
    for name, recipe in study.arms.items():
        try:
            jobs[name] = prepare(
                recipe,
                directories[name],
                shared=shared,
                allow_imports=allow_imports,
                watcher=watcher,
                feeds=data.feeds(recipe),
            )
        except ProblemsError as error:
            problems[name] = [f"{error.where}: {problem}" for problem in error.problems]
        except StillhouseError as error:
            problems[name] = [str(error)]
    if problems:
        raise RecipeError(study.title, by_arm(problems, of=len(study.arms)))
    on_test: dict[tuple[Path, str], dict[str, float]] = {}
    for job in jobs.values():
        job.on_test = on_test  # of teachers and controls that arms share
    return PreparedStudy(study, out, jobs, watcher)


def run_study(
    prepared: PreparedStudy, *, done: Callable[[Mapping[str, Any]], None] | None = None
) -> StudyOutcome:
    """Run every arm, or go on with the study, or find it finished.

    An arm whose loss becomes nan or inf is a row that says so; any other error stops the study.

    Args:
        prepared: the study.
        done: hears of each arm that has ended, as its part of study.json.

    Raises:
        RunError: the directory belongs to something else, or is in use, or an arm was changed
            after it was run; nothing is overwritten then.
    """
    study, out, watcher = prepared.study, prepared.out, prepared.watcher
    platform = next(iter(prepared.jobs.values())).feeds.platform
    hear = done or (lambda entry: watcher.say(arm_line(entry)))
    with held(out) if platform.main else nullcontext():
        check_arms({name: (job.out, job.recipe) for name, job in prepared.jobs.items()})
        notes = _Notes(prepared)
        platform.wait()  # all have read what was there before anything is written
        table: dict[str, Any] = {}
        if platform.main:
            write_study(out, study.values)
            table = notes.write()
        students = [len(job.recipe.seeds) for job in prepared.jobs.values()]
        for position, (name, job) in enumerate(prepared.jobs.items(), start=1):
            watcher.say(f"arm {position} of {len(prepared.jobs)}: {name}")
            before = sum(students[: position - 1])
            watcher.overall(before, sum(students))
            if notes.states[name]["state"] == FINISHED:
                watcher.say("finished before")
                continue
            heard = Attentive(job.watcher, before, sum(students))
            notes.states[name] = _run_arm(name, job, notes.marks[name], heard)
            if platform.main:
                table = notes.write()
                hear(next(entry for entry in table["arms"] if entry["name"] == name))
        watcher.overall(sum(students), sum(students))
        return StudyOutcome(out, table)


def _run_arm(name: str, job: Distillation, mark: str, heard: Attentive) -> State:
    """Run one arm; of one that diverged, say which of its trainings did."""
    try:
        run(replace(job, watcher=heard))
    except NonFiniteLoss as error:
        heard.warn(f"{heard.stage}: {error}")
        found = {"state": DIVERGED, "fingerprint": mark, "message": str(error)}
        return found if heard.stage == STUDENT else {**found, "stage": heard.stage}
    except RunError as error:
        raise RunError(
            f"arm '{name}': {error} (to train this arm anew, delete {job.out})"
        ) from error
    return {"state": FINISHED, "fingerprint": mark}


def arm_fingerprint(job: Distillation) -> str:
    """What decides the numbers of an arm, as far as is known before its teacher is trained."""
    seed, starts = job.recipe.seeds[0], []
    for ancestor in family(job.teacher):  # a file or the code of any of them may change
        module = ancestor.make(seed)
        starts.append([weights_fingerprint(module), *ancestor.network.code(module).values()])
    recipe = same_run(resolved(job.recipe))
    known = {"recipe": recipe, "starts": starts, **job.method_code}
    return job.identity("arm", job.settings(seed), job.student, **known)


class _Notes:
    """What is known of the arms, kept in study.json."""

    def __init__(self, prepared: PreparedStudy) -> None:
        self._prepared = prepared
        self._began = time.perf_counter()
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

    def write(self) -> dict[str, Any]:
        """Rewrite study.json."""
        prepared = self._prepared
        table = study_table(
            prepared.study,
            prepared.out,
            {name: job.out for name, job in prepared.jobs.items()},
            self.states,
            created=self._created,
            seconds=self._spent + time.perf_counter() - self._began,
        )
        table.write(prepared.out / TABLE)
        if any(arm.state != WAITING for arm in table.arms):
            write_study_report(prepared.out)
        return table.plain()


def _state(arm: Arm | None, job: Distillation, mark: str) -> State:
    """What study.json said of an arm; nothing counts of another one, or without the numbers."""
    known = arm is not None and arm.state == FINISHED and arm.fingerprint == mark
    if not known or not (job.out / SCORES).is_file():
        return {"state": WAITING}
    return {"state": FINISHED, "fingerprint": mark}
