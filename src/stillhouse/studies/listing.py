"""The runs and studies below some directories, a line of facts for each."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stillhouse.errors import RunError, StillhouseError
from stillhouse.recipes.load import make_recipe
from stillhouse.records.metric import Metric
from stillhouse.records.run import SCORES, Scores
from stillhouse.runs.directory import CLAIM, read_resolved
from stillhouse.studies.directory import is_study_directory, read_study, read_study_table

State = Literal["finished", "unfinished", "damaged"]


@dataclass(frozen=True)
class Listed:
    """One run or study.

    Args:
        directory: as it was reached.
        kind: run or study.
        state: damaged: a file of it cannot be read, and ``said`` tells which.
        title: what it is, in a line.
        word: of the verdict; of a study how many arms are of which word.
        metric: what it is measured by.
        test: of the student, mean over seeds; unscaled. Of a study that of its best arm.
        gain, low, high: over the control, with the 95 % interval; of a study none.
        parameters: of the student.
        created: when it was finished, ISO; empty if it is not.
        said: what is wrong, or what is still to be done.
    """

    directory: Path
    kind: Literal["run", "study"]
    state: State
    title: str = ""
    word: str = ""
    metric: Metric | None = None
    test: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    parameters: int | None = None
    created: str = ""
    said: str = ""


def listed(directories: Iterable[Path]) -> list[Listed]:
    """All runs and studies at or below these directories, in order of their paths, each once.

    Raises:
        RunError: one of them is no directory.
    """
    found: dict[Path, Listed] = {}
    for top in directories:
        if not top.is_dir():
            what = "is a file" if top.exists() else "does not exist"
            raise RunError(f"{top} {what}; give directories in which runs are to be looked for")
        for place in _places(top):
            found.setdefault(place.resolve(), _listed(place))
    return list(found.values())


def _places(top: Path) -> Iterator[Path]:
    """Where a run or study was begun; none is looked for inside one (arms are a study's own)."""
    for here, below, _ in os.walk(top):
        place = Path(here)
        if is_study_directory(place) or (place / CLAIM.file).is_file():
            below.clear()
            yield place
        below.sort()


def _listed(place: Path) -> Listed:
    study = is_study_directory(place)
    try:
        return _study(place) if study else _run(place)
    except (StillhouseError, OSError) as error:
        said = str(error).removeprefix(f"{place}/")
        return Listed(place, "study" if study else "run", "damaged", said=said)


def _run(place: Path) -> Listed:
    values = read_resolved(place)
    if not (place / SCORES).is_file():
        title = make_recipe(values, where=str(place)).title
        return Listed(place, "run", "unfinished", title, said=f"stillhouse resume {place}")
    scores = Scores.read(place / SCORES)
    student = next((model for model in scores.models if model.role == "student"), None)
    verdict, tests = scores.verdict, [run.test.last for run in student.runs] if student else []
    return Listed(
        place,
        "run",
        "finished",
        scores.title,
        "" if verdict is None else verdict.word,
        scores.task.metric,
        _mean(tests),
        None if verdict is None else verdict.gain,
        None if verdict is None else verdict.low,
        None if verdict is None else verdict.high,
        None if student is None else student.parameters,
        scores.created,
    )


def _study(place: Path) -> Listed:
    table = read_study_table(place)
    if table is None:
        title, again = read_study(place).title, f"stillhouse resume {place}"
        return Listed(place, "study", "unfinished", title, said=again)
    words = [arm.gain.word if arm.gain else arm.state for arm in table.arms]
    counted = [f"{words.count(word)} {word}" for word in dict.fromkeys(words)]
    metric, best = table.task.metric, None
    for arm in table.arms:
        mean = _mean([run.test.last for run in arm.runs])
        if mean is not None and (best is None or metric.is_better(mean, best)):
            best = mean
    return Listed(
        place,
        "study",
        "finished" if table.finished else "unfinished",
        table.title,
        ", ".join(counted),
        metric,
        best,
        created=table.created if table.finished else "",
        said="" if table.finished else f"stillhouse resume {place}",
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
