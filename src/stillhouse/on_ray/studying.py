"""A study on a Ray cluster: each piece of it is a task, which waits for those that it needs.

A task whose process was killed is had again, and goes on from the last checkpoint. What cannot be
done is told, what depends on it is left, and the other arms go on.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stillhouse.errors import RecipeError, RunError
from stillhouse.on_ray.cluster import AGAIN, Cluster, as_they_end, joined, outcome_of, ray_at
from stillhouse.on_ray.home import Answer, Home, answered
from stillhouse.recipes.study import make_study
from stillhouse.runs.job.job import Job
from stillhouse.runs.run import prepare
from stillhouse.studies.arms import SharedData
from stillhouse.studies.pieces import Piece, State, claim_arms, do_piece, pieces_of
from stillhouse.studies.study import Arms, PreparedStudy
from stillhouse.studies.table import DIVERGED


@dataclass(frozen=True)
class Asked:
    """A study as it travels to other processes.

    Args:
        values: as it was written, as JSON.
        folders: the directory of each arm.
        shared: that of teachers and controls.
        allow_imports: whether ``python:`` names may be imported.
        home: of the command.
    """

    values: str
    folders: tuple[tuple[str, Path], ...]
    shared: Path
    allow_imports: bool
    home: Home


class _Jobs:
    """The arms of a study in one process: each prepared once, on data that are loaded once."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._folders = asked, dict(asked.folders)
        self._study = make_study(json.loads(asked.values))
        self._data = SharedData(allow_imports=asked.allow_imports)
        self._known: dict[str, Job] = {}

    def of(self, arm: str) -> Job:
        if arm not in self._known:
            recipe = self._study.arms[arm]
            self._known[arm] = prepare(
                recipe,
                self._folders[arm],
                shared=self._asked.shared,
                allow_imports=self._asked.allow_imports,
                data=self._data.of(recipe),
            )
        return self._known[arm]


@lru_cache(maxsize=1)
def _jobs(asked: Asked) -> _Jobs:
    """Those of the study that this process worked for last."""
    return _Jobs(asked)


def do_there(asked: Asked, piece: Piece, mark: str, *before: Answer) -> Answer:
    """The task: a piece of a study, once those before it have come to an end.

    Args:
        asked: the study.
        piece: of it.
        mark: the fingerprint of its arm.
        before: what came of those that it needs; where one failed, it is left, and of a teacher
            that diverged nobody learns.
    """
    for each in before:
        if each.problem or (piece.kind != "arm" and each.value["state"] == DIVERGED):
            return each

    def work() -> State:
        asked.home.enter()
        return do_piece(piece, _jobs(asked).of(piece.arm), mark)

    return answered(work)


def on_cluster(
    address: str | None, *, cpus: int = 1, device: str = "auto", allow_imports: bool = False
) -> Arms:
    """What `stillhouse.studies.study.run_study` takes to run its arms on a cluster.

    Args:
        address, cpus, device: as of `stillhouse.on_ray.cluster.joined`; it is joined when the first
            arm is to be run.
        allow_imports: whether ``python:`` names may be imported.

    Raises:
        MissingExtra, RecipeError: Ray is not installed, or no cluster answers.
    """
    ray_at(address)

    def arms(prepared: PreparedStudy, waiting: Mapping[str, str]) -> Iterator[tuple[str, State]]:
        _check_untracked(prepared)
        jobs = {name: prepared.jobs[name] for name in waiting}
        if not jobs:
            return
        claim_arms(jobs)
        asked = Asked(
            json.dumps(prepared.study.values, default=str),
            tuple((name, job.out) for name, job in jobs.items()),
            next(iter(jobs.values())).shared,
            allow_imports,
            Home(cpus),
        )
        with joined(address, cpus=cpus, device=device) as cluster:
            yield from _done(cluster, asked, pieces_of(jobs), waiting, prepared)

    return arms


def _done(
    cluster: Cluster,
    asked: Asked,
    pieces: list[Piece],
    marks: Mapping[str, str],
    prepared: PreparedStudy,
) -> Iterator[tuple[str, State]]:
    """The arms as they end.

    Raises:
        RunError: some cannot be finished; why.
    """
    watcher = prepared.watcher
    watcher.say(f"{len(pieces)} tasks on the cluster, {cluster.slots} at once")
    remote = cluster.ray.remote(do_there).options(**cluster.takes, max_retries=AGAIN)
    started: list[Any] = []
    for piece in pieces:
        before = [started[need] for need in piece.needs]
        started.append(remote.remote(asked, piece, marks[piece.arm], *before))
    tasks = {task: place for place, task in enumerate(started)}
    students = sum(piece.kind == "student" for piece in pieces)
    trained, finished = 0, set[str]()
    problems: dict[str, str] = {}
    failed: set[int] = set()
    watcher.overall(0, students)
    for task, place in as_they_end(cluster, tasks):
        piece = pieces[place]
        if failed.intersection(piece.needs):
            failed.add(place)
            continue
        answer = _answer(cluster, task, str(piece))
        if answer.problem:
            failed.add(place)
            problems[answer.problem] = str(piece)
            watcher.warn(f"{piece}: {answer.problem}")
            continue
        trained += piece.kind == "student"
        watcher.overall(trained, students)
        if piece.kind == "arm":
            finished.add(piece.arm)
            yield piece.arm, answer.value
        else:
            watcher.say(f"{piece}: {answer.value['state']}")
    left = [name for name in marks if name not in finished]
    if left:
        said = "; ".join(f"{piece}: {problem}" for problem, piece in problems.items())
        raise RunError(
            f"not finished: {', '.join(left)} ({len(left)} of {len(prepared.jobs)} arms). {said}. "
            "What was finished is kept, and the same command goes on from there"
        )


def _answer(cluster: Cluster, task: object, who: str) -> Answer:
    """What a task has given; a process that was killed too often is a problem like others."""
    try:
        found: Answer = outcome_of(cluster, task, who)
    except RunError as error:
        return Answer(problem=str(error))
    return found


def _check_untracked(prepared: PreparedStudy) -> None:
    """Raises RecipeError where trackers are to hear of what is trained in other processes."""
    if any(job.recipe.track is not None for job in prepared.jobs.values()):
        said = "trackers hear of what this process trains, and --on ray trains in others"
        raise RecipeError("track", [f"{said}; leave it out (--track none), or leave out --on ray"])
