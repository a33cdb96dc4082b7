"""A run from start to end: claim the directory, train, score, write everything down."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stillhouse.engine.fit import METRICS
from stillhouse.engine.platform import open_platform
from stillhouse.engine.stage import Stage
from stillhouse.errors import RunError
from stillhouse.models import load_weights
from stillhouse.recipes.augment import AugmentSection
from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.records.environment import environment
from stillhouse.records.files import Lines, write_text
from stillhouse.records.run import SCORES, Scores
from stillhouse.runs.ancestors import make_ancestor
from stillhouse.runs.costs import write_costs
from stillhouse.runs.deriving import make_student
from stillhouse.runs.directory import claimed
from stillhouse.runs.distill import Distillation
from stillhouse.runs.feeds import Feeds, open_feeds
from stillhouse.runs.own_method import own_method
from stillhouse.runs.peers import make_peers
from stillhouse.runs.played import Played, student_of
from stillhouse.runs.products import write_products
from stillhouse.runs.scores import describe_run
from stillhouse.runs.stage_run import LAST, product_file
from stillhouse.runs.transfer import settled, write_portrait
from stillhouse.runs.watching import Quiet, Watcher

SHARED = "shared"


@dataclass(frozen=True)
class Objects:
    """Python objects given in place of names in a recipe."""

    data: Any = None
    student: Any = None
    teacher: Any = None
    peers: Sequence[Any] | None = None
    transform: Callable[[Any], Tensor] | None = None
    eval_transform: Callable[[Any], Tensor] | None = None
    method: Callable[..., Stage] | None = None


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Args:
        directory: all its files.
        scores: the content of scores.json: table and verdict as data.
        student: the trained student of the first seed, in eval mode; it reads images in its own
            form, where the recipe gives it one.
    """

    directory: Path
    scores: Mapping[str, Any]
    student: nn.Module

    @property
    def verdict(self) -> str:
        """The verdict line."""
        return str(self.scores["verdict"]["sentence"])

    @property
    def report(self) -> Path:
        """The report."""
        return self.directory / "report.html"


def prepare(
    recipe: Recipe,
    out: Path,
    *,
    objects: Objects | None = None,
    shared: Path | None = None,
    allow_imports: bool = False,
    watcher: Watcher | None = None,
    feeds: Feeds | None = None,
) -> Distillation:
    """Load the data, settle what 'auto' means, and check that everything fits; trains nothing.

    ``feeds`` are the recipe's, where several runs of one process share what was loaded.
    """
    given = objects or Objects()
    own = own_method(recipe, given.method, allow_imports=allow_imports)
    feeds = feeds or open_feeds(
        recipe.data,
        recipe.batch,
        open_platform(device=recipe.device, precision=recipe.precision),
        source=given.data,
        transform=given.transform,
        eval_transform=given.eval_transform,
    )
    chosen = AugmentSection(
        **{name: getattr(feeds.augment, name) for name in AugmentSection.model_fields}
    )
    recipe = recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"augment": chosen}),
            "precision": feeds.platform.precision,
            "transfer": recipe.transfer and settled(recipe.transfer, feeds),
        }
    )
    teacher = None
    if recipe.teacher is not None:
        teacher = make_ancestor(recipe.teacher, feeds, given.teacher, allow_imports=allow_imports)
    student = make_student(
        recipe.student, feeds, teacher, given.student, allow_imports=allow_imports
    )
    shared = shared or out.resolve().parent / SHARED
    peers = make_peers(recipe.peers or (), given.peers, student, feeds, allow_imports=allow_imports)
    job = Distillation(
        recipe,
        feeds,
        student,
        teacher,
        shared,
        out,
        watcher or Quiet(),
        peers=peers,
        own_method=own,
    )
    job.check()
    return job


def run(job: Distillation) -> Outcome:
    """Run a prepared distillation, or go on with it, or find it finished.

    Raises:
        RunError: the directory belongs to another run, or is in use.
        NonFiniteLoss: a term became nan or inf.
    """
    platform = job.feeds.platform
    began = time.perf_counter()
    if not platform.main:
        played = job.all_models()
        return _outcome(job, played, describe_run(job, played, time.perf_counter() - began))
    with claimed(job.out, resolved(job.recipe), environment(platform)):
        played = job.all_models()
        spent = sum(one.run.seconds for one in played if one.run and one.run.reused)
        scores = describe_run(job, played, time.perf_counter() - began + spent)
        _write(job, played, scores)
        return _outcome(job, played, scores)


def _outcome(job: Distillation, played: list[Played], scores: Scores) -> Outcome:
    first = student_of(played)
    product = first.run
    if product is None:
        raise RunError("the student was not trained")
    student = job.student.make(job.recipe.seeds[0], first.teacher)
    load_weights(student, product_file(product.directory, product.keeps, LAST))
    return Outcome(job.out, scores.plain(), student.eval())


def _write(job: Distillation, played: list[Played], scores: Scores) -> None:
    """Products of the first seed beside the run, merged metrics, scores, report."""
    from stillhouse.report import write_report

    out = job.out
    write_products(job, played)
    write_costs(job, played)
    write_portrait(job)
    lines = [
        json.dumps({**line, "stage": one.role, "seed": one.seed}, ensure_ascii=False)
        for one in played
        if one.run is not None
        for line in Lines(one.run.directory / METRICS).read()
    ]
    write_text(out / METRICS, "".join(line + "\n" for line in lines))
    scores.write(out / SCORES)
    write_report(out)
