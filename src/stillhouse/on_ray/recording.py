"""A teacher cache recorded by actors of a Ray cluster, each of which is a worker with leases.

The actors claim shards as ``--worker K/N`` does, so they leave the bytes that one worker leaves.
Ray starts an actor anew that was killed; meanwhile the others take over what it held.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import RunError
from stillhouse.on_ray.cluster import AGAIN, Cluster, as_they_end, outcome_of
from stillhouse.on_ray.home import Answer, Home, answered
from stillhouse.recipes import make_recipe
from stillhouse.runs.caching import Worker, cache_teachers
from stillhouse.runs.run import prepare


@dataclass(frozen=True)
class Recording:
    """What is to be recorded.

    Args:
        values: of the recipe, plain.
        out, shared: of the run to come, and of its teachers.
        allow_imports: whether ``python:`` names may be imported.
        home: of the command.
    """

    values: Mapping[str, Any]
    out: Path
    shared: Path | None
    allow_imports: bool
    home: Home


@dataclass(frozen=True)
class Recorded:
    """A teacher cache that is whole."""

    directory: str
    views: int
    bytes: int


class Recorder:
    """An actor: a teacher that records what nobody else records."""

    def record(self, asked: Recording, worker: Worker) -> Answer:
        """Record until all is there; gives every teacher cache of the recipe."""
        return answered(lambda: _record(asked, worker))


def _record(asked: Recording, worker: Worker) -> list[Recorded]:
    asked.home.enter()
    recipe = make_recipe(asked.values)
    job = prepare(recipe, asked.out, shared=asked.shared, allow_imports=asked.allow_imports)
    found = cache_teachers(job, worker)
    return [Recorded(str(each.directory), each.views, each.bytes) for each in found]


def record_on(
    cluster: Cluster, asked: Recording, workers: int, say: Callable[[str], None]
) -> list[Recorded]:
    """Record with so many actors; each ends when all shards are there and checked.

    Raises:
        RunError: none of them came to the end; why.
    """
    kind = cluster.ray.remote(Recorder).options(
        **cluster.takes, max_restarts=AGAIN, max_task_retries=AGAIN
    )
    actors = [kind.remote() for _ in range(workers)]
    tasks = {
        actor.record.remote(asked, Worker(k, workers)): f"worker {k} of {workers}"
        for k, actor in enumerate(actors, start=1)
    }
    whole: list[Recorded] | None = None
    problems: list[str] = []
    for task, who in as_they_end(cluster, tasks):
        try:
            answer = outcome_of(cluster, task, who)
        except RunError as error:
            problems.append(str(error))
            say(problems[-1])
            continue
        if answer.problem:
            problems.append(answer.problem)
            say(f"{who}: {answer.problem}")
        else:
            whole = answer.value
            say(f"{who}: all shards are there")
    if whole is None:
        raise RunError("; ".join(dict.fromkeys(problems)))
    return whole
