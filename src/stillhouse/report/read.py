"""Files of a run directory -> :class:`RunRecord`; tolerant of gaps, firm about damage."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.errors import RunError
from stillhouse.report.costs import COSTS, read_costs
from stillhouse.report.metrics import read_epochs
from stillhouse.report.record import RunRecord
from stillhouse.report.scores import (
    read_data,
    read_groups,
    read_method,
    read_model,
    read_product,
    read_served,
    read_verdict,
)
from stillhouse.report.values import number, rows, text

if TYPE_CHECKING:
    from stillhouse.synthesis.gallery import Gallery

FILES = ("scores.json", "metrics.jsonl", "resolved.yaml", "environment.json", "products.json")
TRANSFER = "transfer.json"
SIGNS_OF_A_RUN = ("scores.json", "metrics.jsonl", "resolved.yaml")


def read_run(directory: Path) -> RunRecord:
    """Read what a run has written so far.

    Args:
        directory: a run directory; any of its files may be missing while the run goes on.

    Raises:
        RunError: ``directory`` is no run directory, or one of its JSON files is damaged.
        DataError: what it keeps of its transfer set is damaged.
    """
    missing = tuple(name for name in FILES if not (directory / name).is_file())
    _require_a_run(directory, missing)
    scores = read_json(directory / "scores.json")
    epochs, torn = read_epochs(directory / "metrics.jsonl")
    return RunRecord(
        name=directory.resolve().name,
        title=text(scores.get("title")),
        created=text(scores.get("created")),
        finished=scores.get("finished") is True,
        seconds=number(scores.get("seconds")),
        data=read_data(scores.get("data")),
        method=read_method(scores.get("method")),
        models=tuple(read_model(model) for model in rows(scores.get("models"))),
        verdict=read_verdict(scores.get("verdict")),
        served=read_served(scores.get("teacher_served")),
        epochs=epochs,
        recipe=_text(directory / "resolved.yaml"),
        environment=read_groups(read_json(directory / "environment.json")),
        products=tuple(
            read_product(product)
            for product in rows(read_json(directory / "products.json").get("products"))
        ),
        missing=missing,
        torn_lines=torn,
        transfer=_transfer(directory),
        costs=read_costs(read_json(directory / COSTS)),
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
        inner = sorted(path.parent.name for path in directory.glob("*/scores.json"))
        hint = (
            f"runs lie one folder deeper: {', '.join(inner[:5])}"
            if inner
            else "give the directory that 'stillhouse run ... -o DIR' wrote"
        )
        raise RunError(
            f"'{directory}' is not a run directory: it has none of "
            f"{', '.join(SIGNS_OF_A_RUN)}; {hint}"
        )


def _transfer(directory: Path) -> "Gallery | None":
    """What the run keeps of its transfer set, if it has one; torch is loaded only then."""
    if not (directory / TRANSFER).is_file():
        return None
    from stillhouse.synthesis.gallery import read_gallery

    return read_gallery(directory)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def read_json(path: Path) -> dict[str, object]:
    """A JSON object in a file; empty without the file. Raises RunError when it is damaged."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"'{path}' cannot be read as JSON ({error}); it was cut short or edited: "
            "run the recipe again, or delete the file to report on the rest"
        ) from error
    if not isinstance(found, dict):
        raise RunError(
            f"'{path}' holds a JSON {type(found).__name__}, a run writes an object there; "
            "run the recipe again, or delete the file to report on the rest"
        )
    return found
