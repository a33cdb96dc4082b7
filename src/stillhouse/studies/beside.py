"""Finished runs side by side: settings that differ, figures, and what may be said of a difference.

Students are paired by seed, and only where the data (rows, split and how they are read) and the
metric are the same: by the fingerprints that each run keeps of what decided it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import RunError
from stillhouse.recipes.merge import flat
from stillhouse.records.run import SCORES, ModelRecord, Scores
from stillhouse.records.study import Comparison
from stillhouse.runs.directory import read_resolved, same_run
from stillhouse.studies.comparisons import comparisons, differences
from stillhouse.studies.directory import is_study_directory
from stillhouse.verdict.paired import paired

STUDENT, CONTROL = "student", "control"


@dataclass(frozen=True)
class Beside:
    """Runs, the first of which the others are compared with.

    Args:
        directories: of the runs, in the order in which they were given.
        scores: of each.
        differing: dotted settings that are not the same in all, and the value in each.
        differences: of each run but the first: student less the first's student; None where they
            cannot be compared.
        notes: of each run but the first: why they cannot be compared, or what to bear in mind.
    """

    directories: tuple[Path, ...]
    scores: tuple[Scores, ...]
    differing: Mapping[str, tuple[Any, ...]]
    differences: tuple[Comparison | None, ...]
    notes: tuple[tuple[str, ...], ...]


def beside(directories: Sequence[Path]) -> Beside:
    """Read finished runs and compare them.

    Raises:
        RunError: one is no finished run, or is damaged; fewer than two, or one comes twice.
    """
    places = tuple(directories)
    if len({place.resolve() for place in places}) < max(2, len(places)):
        raise RunError("compare two runs or more, each of them once")
    scores, recipes = (
        tuple(map(_scores, places)),
        [flat(same_run(read_resolved(p))) for p in places],
    )
    names = dict.fromkeys(name for recipe in recipes for name in recipe)
    values = {name: tuple(recipe.get(name) for recipe in recipes) for name in names}
    differing = {name: each for name, each in values.items() if any(v != each[0] for v in each)}
    first = scores[0]
    obstacles = {str(at): _obstacle(first, other) for at, other in enumerate(scores) if at}
    metric = first.task.metric
    step = 1 / first.data.test if metric.share else None
    column = {
        at: None
        if why
        else paired(
            differences(_by_seed(scores[int(at)], STUDENT), _by_seed(first, STUDENT), metric),
            step=step,
        )
        for at, why in obstacles.items()
    }
    judged = comparisons(column)
    notes = tuple(
        (why,) if why else tuple(_cautions(first, scores[int(at)])) for at, why in obstacles.items()
    )
    return Beside(places, scores, differing, tuple(judged[at] for at in obstacles), notes)


def _scores(place: Path) -> Scores:
    if is_study_directory(place):
        raise RunError(f"{place} is a study: 'stillhouse show {place}' compares its arms")
    read_resolved(place)
    if not (place / SCORES).is_file():
        again = f"'stillhouse resume {place}'"
        raise RunError(f"the run in {place} is not finished, so it has no figures yet: {again}")
    return Scores.read(place / SCORES)


def _obstacle(first: Scores, other: Scores) -> str:
    """Why two runs cannot be compared; empty where they can."""
    if first.task.metric != other.task.metric:
        named = f"{first.task.metric.name} and {other.task.metric.name}"
        return f"not comparable: they are measured by {named}"
    if first.decisive.get("data") != other.decisive.get("data"):
        return "not comparable: their data are not the same (rows, split, or how they are read)"
    if not set(_by_seed(first, STUDENT)) & set(_by_seed(other, STUDENT)):
        return "not comparable: they have no seed in common"
    return ""


def _cautions(first: Scores, other: Scores) -> list[str]:
    """What to bear in mind where runs can be compared."""
    mine, theirs = _by_seed(other, STUDENT), _by_seed(first, STUDENT)
    said = []
    if set(mine) != set(theirs):
        both = len(set(mine) & set(theirs))
        said.append(f"paired over the {both} seeds that both have ({len(mine)} and {len(theirs)})")
    controls = _by_seed(other, CONTROL), _by_seed(first, CONTROL)
    if not all(controls):
        said.append("not both have a control")
    elif any(
        controls[0][seed] != controls[1][seed] for seed in set(controls[0]) & set(controls[1])
    ):
        said.append(
            "their controls differ, so the difference is one of network or budget as well as of "
            "the method: look at the gain of each over its own control"
        )
    else:
        said.append("their controls are the same")
    return said


def _by_seed(scores: Scores, role: str) -> dict[int, float]:
    """The test metric of the last epoch, by seed."""
    model = network(scores, role)
    runs = model.runs if model else ()
    return {run.seed: run.test.last for run in runs if run.test.last is not None}


def network(scores: Scores, role: str) -> ModelRecord | None:
    """The network of a role; None where the run has none."""
    return next((model for model in scores.models if model.role == role), None)
