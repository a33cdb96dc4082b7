"""What the arms of a study are, before they are run: what they share, what tells them apart."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.data.load import Splits
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.errors import ProblemsError, StillhouseError
from stillhouse.models import weights_fingerprint
from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.recipes.study import METHODS, Study, make_study
from stillhouse.recipes.tuning import candidates
from stillhouse.runs.directory import same_run
from stillhouse.runs.job.data import JobData, open_data, open_splits
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.method import chosen_task
from stillhouse.runs.run import prepare
from stillhouse.runs.training.training import control_key, teacher_keys
from stillhouse.verdict.judgement import LEAST
from stillhouse.verdict.power import shown_by

SHOWN = {"augment", "view_seed", "views", "workers"}
"""Keys of the data section that say how samples are shown, not which there are."""


class SharedData:
    """The data of one recipe after another."""

    def __init__(self, *, allow_imports: bool = False) -> None:
        self._allow_imports = allow_imports
        self._splits: dict[tuple[str, bool, bool, str], Splits] = {}
        self._known: dict[tuple[str, int, str, str, str], JobData] = {}
        self._platforms: dict[tuple[str, str], Platform] = {}

    def of(self, recipe: Recipe) -> JobData:
        """The data of a recipe; tables are loaded when the first recipe asks for them."""
        wanted = (recipe.device, recipe.precision)
        key = (recipe.data.model_dump_json(), recipe.batch, recipe.task.model_dump_json(), *wanted)
        if key not in self._known:
            if wanted not in self._platforms:
                self._platforms[wanted] = open_platform(
                    device=recipe.device, precision=recipe.precision
                )
            task = chosen_task(recipe, allow_imports=self._allow_imports)
            data = recipe.data.model_dump_json(exclude=SHOWN)
            loaded = data, task.open_set, task.labelled, task.rows_are
            if loaded not in self._splits:
                self._splits[loaded] = open_splits(
                    recipe.data,
                    open_set=task.open_set,
                    labelled=task.labelled,
                    rows_are=task.rows_are,
                )
            self._known[key] = open_data(
                recipe.data,
                recipe.batch,
                self._platforms[wanted],
                splits=self._splits[loaded],
                task=task,
            )
        return self._known[key]


def arm_fingerprint(job: Job) -> str:
    """What decides the numbers of an arm, as far as is known before its teacher is trained."""
    seed, starts = job.recipe.seeds[0], []
    for teacher in job.teachers:
        module = teacher.make(seed)  # a file or the code of any of them may change
        starts.append([weights_fingerprint(module), *teacher.network.code(module).values()])
    recipe = same_run(resolved(job.recipe))
    known = {"recipe": recipe, "starts": starts, **job.method_code}
    return job.identity("arm", job.settings(seed), job.student, **known)


def count_trainings(jobs: Iterable[Job]) -> str:
    """Students, candidates of tune, controls and teachers that a study trains, in a sentence."""
    students = tried = 0
    controls: set[str] = set()
    teachers: set[str] = set()
    for job in jobs:
        seeds = job.recipe.seeds
        students += len(seeds)
        if job.recipe.tune is not None:
            tried += len(candidates(job.recipe.method, job.recipe.tune))
        if job.recipe.control:
            controls |= {control_key(job, seed) for seed in seeds}
        teachers |= {key for teacher in job.teachers for key in teacher_keys(job, teacher)}
    parts = (("student", students), ("candidate", tried), ("control", len(controls)),
             ("teacher", len(teachers)))  # fmt: skip
    said = [f"{count} {role}{'s' if count > 1 else ''}" for role, count in parts if count]
    total = sum(count for _, count in parts)
    return f"{total} trainings: {', '.join(said)} (what arms share is trained once)"


def could_show(study: Study) -> str:
    """What the seeds of a study can show of its arms, by the one that has fewest of those judged.

    Arms of fewer than three seeds are counted: they are none of the comparisons.
    """
    compared = {n: r for n, r in study.arms.items() if r.control} or study.arms
    seeds = {name: len(recipe.seeds) for name, recipe in compared.items()}
    judged = {name: count for name, count in seeds.items() if count >= LEAST} or seeds
    claims = sum(name in judged for name in study.claims) or None
    said = shown_by(min(judged.values()), len(judged), claims)
    few = len(seeds) - len(judged)
    return f"{said}; of {few} with fewer seeds than {LEAST} no word is said" if few else said


def fitting_methods(
    values: Mapping[str, Any], names: Sequence[str], out: Path, *, allow_imports: bool = False
) -> tuple[list[str], dict[str, str]]:
    """The methods that fit, and why each of the others does not.

    Args:
        values: what all arms share: data, networks, budget.
        names: of methods.
        out: where the comparison would be; nothing is written.
        allow_imports: whether ``python:`` names may be imported.

    Raises:
        StillhouseError: none fits; what is wrong with the first.
    """
    data, fit, unfit = SharedData(allow_imports=allow_imports), list[str](), dict[str, str]()
    first: StillhouseError | None = None
    for name in names:
        try:
            (recipe,) = make_study({**values, METHODS: [name]}).arms.values()
            prepare(recipe, out / name, allow_imports=allow_imports, data=data.of(recipe))
            fit.append(name)
        except StillhouseError as error:
            first = first or error
            said = error.problems if isinstance(error, ProblemsError) else [str(error)]
            unfit[name] = "; ".join(said)
    if first is not None and not fit:
        raise first
    return fit, unfit
