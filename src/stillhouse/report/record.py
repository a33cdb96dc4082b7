"""A run directory as the report sees it: its records, its epochs, and what is not there (yet)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stillhouse.errors import RunError
from stillhouse.records.answers import ANSWERS, Answers, read_answers
from stillhouse.records.boxes_shown import BOXES, BoxGallery, read_gallery_of_boxes
from stillhouse.records.checked import missing_files, read_checked
from stillhouse.records.costs import COSTS, Costs
from stillhouse.records.examples import EXAMPLES, Examples, read_examples
from stillhouse.records.exports import Exported, ExportList
from stillhouse.records.gallery import FACTS, Gallery, read_gallery
from stillhouse.records.metric import ACCURACY, Metric
from stillhouse.records.products import PRODUCTS, Product, ProductList, check_products
from stillhouse.records.run import METRICS, SCORES, ModelRecord, Scores
from stillhouse.records.runs_inside import runs_inside
from stillhouse.records.schema import RUN_AGAIN, first_problem
from stillhouse.records.stage import Epoch
from stillhouse.records.verdict import Verdict
from stillhouse.report.wording import flat

RECIPE, ENVIRONMENT = "resolved.yaml", "environment.json"
FILES = (SCORES, METRICS, RECIPE, ENVIRONMENT, PRODUCTS)
SIGNS_OF_A_RUN = (SCORES, METRICS, RECIPE)

Groups = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
"""Headings, and below each names and values."""


@dataclass(frozen=True)
class RunRecord:
    """Everything that the page of a run shows.

    Args:
        name: of its directory.
        scores: None as long as the run has not ended.
        epochs: of all stages and seeds, in order.
        recipe: the text of resolved.yaml.
        missing: files that are not there.
        torn_lines: of metrics.jsonl.

    >>> record = RunRecord("demo")
    >>> record.finished, record.role("teacher"), record.metric.name
    (False, None, 'accuracy')
    """

    name: str
    scores: Scores | None = None
    epochs: Sequence[Epoch] = ()
    recipe: str = ""
    environment: Groups = ()
    products: tuple[Product, ...] = ()
    exports: tuple[Exported, ...] = ()
    costs: Costs | None = None
    transfer: Gallery | None = None
    answers: Answers | None = None
    examples: Examples | None = None
    boxes: BoxGallery | None = None
    missing: tuple[str, ...] = ()
    torn_lines: int = 0

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.scores is not None and self.scores.finished

    @property
    def metric(self) -> Metric:
        """What the run is measured by; a run that has not said it yet is one of classification."""
        return self.scores.task.metric if self.scores else ACCURACY

    @property
    def models(self) -> tuple[ModelRecord, ...]:
        """Its networks, in the order in which they were trained."""
        return self.scores.models if self.scores else ()

    @property
    def verdict(self) -> Verdict | None:
        """None if the run has not come to one."""
        return self.scores.verdict if self.scores else None

    @property
    def untrained_control(self) -> bool:
        """Whether the control is the student as it starts: there was nothing to train one with."""
        control = self.role("control")
        return control is not None and all(run.given for run in control.runs)

    @property
    def control_rises(self) -> bool:
        """Whether most controls were still learning when they were stopped."""
        control = self.role("control")
        rising = [run for run in control.runs if run.rise is not None] if control else []
        return control is not None and 2 * len(rising) > len(control.runs)

    def role(self, role: str) -> ModelRecord | None:
        """The first network in a role, if the run has one."""
        return next((model for model in self.models if model.role == role), None)

    def validation(self, epoch: Epoch) -> float | None:
        """The metric after an epoch, by the stage's own logits where several inferences have it."""
        for measure in (f"{epoch.stage}.logits", "student.logits", *epoch.validation):
            found = epoch.validation.get(measure, {}).get(self.metric.name)
            if found is not None:
                return found
        return None


def read_run(directory: Path) -> RunRecord:
    """Read what a run has written so far.

    Args:
        directory: a run directory; any of its files may be missing while the run goes on.

    Raises:
        RunError: ``directory`` is no run directory, or one of its files is damaged or was edited.
        DataError: what it keeps of its transfer set is damaged.
    """
    missing = tuple(name for name in FILES if not (directory / name).is_file())
    _require_a_run(directory, missing)
    recipe = directory / RECIPE
    known = (SCORES, PRODUCTS, COSTS, FACTS, ANSWERS, EXAMPLES, BOXES)
    there = {name for name in known if (directory / name).is_file()}
    scores = Scores.read(directory / SCORES) if SCORES in there else None
    if scores is None:  # cut off amid the last writes: nothing says yet what rows and classes are
        there -= {ANSWERS, EXAMPLES, BOXES}
    if scores is not None:
        missing += tuple(missing_files(directory, scores.files, RunError, RUN_AGAIN))
    if PRODUCTS in there:
        missing += tuple(check_products(directory))
    epochs, torn = read_epochs(directory / METRICS)
    return RunRecord(
        name=directory.resolve().name,
        scores=scores,
        epochs=epochs,
        recipe=recipe.read_text("utf-8", errors="replace") if recipe.is_file() else "",
        environment=_groups(directory / ENVIRONMENT),
        products=ProductList.read(directory / PRODUCTS).products if PRODUCTS in there else (),
        exports=ExportList.of(directory).exports,
        costs=Costs.read(directory / COSTS) if COSTS in there else None,
        transfer=read_gallery(directory) if FACTS in there else None,
        answers=read_answers(directory) if ANSWERS in there else None,
        examples=read_examples(directory) if EXAMPLES in there else None,
        boxes=read_gallery_of_boxes(directory) if BOXES in there else None,
        missing=tuple(dict.fromkeys(missing)),
        torn_lines=torn,
    )


def _require_a_run(directory: Path, missing: tuple[str, ...]) -> None:
    if not directory.exists():
        raise RunError(
            f"there is no directory '{directory}' to report on; "
            "give the directory that 'stillhouse run ... -o DIR' wrote"
        )
    if not directory.is_dir():
        raise RunError(
            f"'{directory}' is a file, a report is made from a run directory; "
            f"try its folder: '{directory.parent}'"
        )
    if all(name in missing for name in SIGNS_OF_A_RUN):
        hint = runs_inside(directory) or (
            "give the directory that 'stillhouse run ... -o DIR' wrote"
        )
        raise RunError(
            f"'{directory}' is not a run directory: it has none of "
            f"{', '.join(SIGNS_OF_A_RUN)}; {hint}"
        )


def read_epochs(path: Path) -> tuple[tuple[Epoch, ...], int]:
    """Read the epochs of metrics.jsonl; none if there is no such file.

    A run that was resumed writes the epochs after its checkpoint twice: the later line counts.
    A torn last line is what a run that is being written looks like. A line torn in the middle
    is left over from a run that was killed and resumed: it is passed over and counted, so that
    the report can say so.

    Returns:
        the epochs, one training after the other as they began; and the number of unreadable
        lines before the last one.

    Raises:
        RunError: a line was edited into something else.
    """
    if not path.is_file():
        return (), 0
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    found: dict[tuple[str, int | None], dict[int, Epoch]] = {}
    torn = 0
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            torn += number < len(lines)
            continue
        if isinstance(event, dict) and event.get("event") == "epoch":
            epoch = _epoch(event, path, number)
            found.setdefault((epoch.stage, epoch.seed), {})[epoch.epoch] = epoch
    return tuple(run[number] for run in found.values() for number in sorted(run)), torn


def _epoch(event: dict[str, Any], path: Path, number: int) -> Epoch:
    try:
        return Epoch.checked(event)
    except ValidationError as error:
        raise RunError(
            f"{path}, line {number} is damaged: {first_problem(error)}; {RUN_AGAIN}"
        ) from None


def _groups(path: Path) -> Groups:
    """What environment.json holds: what lies flat comes first, without a heading."""
    found = read_checked(path, RunError, RUN_AGAIN) if path.is_file() else {}
    return tuple(_grouped(found))


def _grouped(found: Mapping[str, object]) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    flat_part = {key: item for key, item in found.items() if not isinstance(item, dict)}
    if flat_part:
        yield "", flat(flat_part)
    for key, item in found.items():
        if isinstance(item, dict) and item:
            yield key, flat(item)
