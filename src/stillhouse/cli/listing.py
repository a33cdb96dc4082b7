"""``stillhouse ls``: methods, networks, losses, tasks, data, recipes; or runs and studies."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli.options import among

LISTS = ("methods", "models", "losses", "tasks", "data", "recipes", "runs")


@dataclass(frozen=True)
class Row:
    """What is listed of one thing.

    Args:
        name: as a recipe names it.
        lines: what it is, a sentence or so each.
        group: the family it is listed under; empty for none.
    """

    name: str
    lines: tuple[str, ...]
    group: str = ""

    def has(self, words: Iterable[str]) -> bool:
        """Whether all words occur in it, in any case.

        >>> Row("at", ("Attention transfer.",), "feature").has(["attention", "Feature"])
        True
        """
        text = " ".join((self.name, self.group, *self.lines)).lower()
        return all(word.lower() in text for word in words)


def listing(
    what: Annotated[
        str | None,
        typer.Argument(
            help="methods, models, losses, tasks, data, recipes or runs (default: all but runs).",
            metavar="WHAT",
            autocompletion=among(*LISTS),
        ),
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="Words that must occur in what is listed. For runs: directories to look in, at "
            "any depth (default: runs).",
            metavar="WORD",
        ),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Of methods: only this family, such as relation.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Of methods: only those that fit this task.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List methods, models, losses, tasks, data and recipes; or runs and studies.

    Of a method it says what it needs, and what it gained and cost in one study of all of them.
    """
    from stillhouse.errors import RecipeError, nearest

    if (family or task) and what != "methods":
        raise RecipeError("ls", ["--family and --task are for 'stillhouse ls methods'"])
    if what == "runs":
        from stillhouse.cli.runs import list_runs

        list_runs([Path(word) for word in words or ["runs"]], as_json=as_json)
        return
    if what is not None and what not in LISTS:
        raise RecipeError("ls", [f"no list '{what}'; {nearest(what, LISTS)}"])
    found = {name: ROOMS[name]() for name in ([what] if what else ROOMS)}
    if what == "methods":
        found["methods"] = _chosen(found["methods"], family, task)
    found = {name: [row for row in rows if row.has(words or ())] for name, rows in found.items()}
    if not any(found.values()):
        asked = " ".join([*(words or ()), *filter(None, (family, task))])
        raise RecipeError("ls", [f"nothing in {what or 'any list'} is found by '{asked}'"])
    if as_json:
        plain = {name: [asdict(row) for row in rows] for name, rows in found.items()}
        typer.echo(json.dumps(plain, indent=1, ensure_ascii=False))
        return
    for name, rows in found.items():
        if rows:
            _print(name, rows)


def _print(title: str, rows: list[Row]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from stillhouse.cli.terminal import Terminal
    from stillhouse.records.metric import MINUS

    console = Terminal()
    console.print(Text(title, style="bold underline"))
    if title == "methods":
        from stillhouse.methods.measured import measured_on

        console.print(f"gained: over the same student trained alone, on {measured_on()}")
    for group in dict.fromkeys(row.group for row in rows):
        if group:
            console.print(Text(f"\n{group}", style="underline"))
        for row in (each for each in rows if each.group == group):
            console.print(Text(row.name, style="bold"))
            for line in row.lines:
                text = Text(line.replace("``", "").replace(MINUS, "-"))
                console.print(Padding(text, (0, 0, 0, 4), expand=False))
    console.print("")


def _chosen(rows: list[Row], family: str | None, task: str | None) -> list[Row]:
    """Methods of a family, and those that fit a task."""
    from stillhouse.errors import RecipeError, nearest
    from stillhouse.methods.fitting import unfitting
    from stillhouse.tasks import find_task

    if family is not None:
        families = [each for each in dict.fromkeys(row.group for row in rows) if each]
        asked = family.replace("_", " ").replace("-", " ")
        if asked not in families:
            raise RecipeError("ls", [f"no family '{family}'; {nearest(asked, families)}"])
        rows = [row for row in rows if row.group == asked]
    if task is None:
        return rows
    unfit = unfitting(find_task(task))
    return [row for row in rows if row.name not in unfit]


def _methods() -> list[Row]:
    from stillhouse.methods import METHODS
    from stillhouse.methods.measured import measured_of
    from stillhouse.methods.needs import needs_said

    return [
        Row(
            method.name,
            (
                f"{method.line} {method.paper}".strip(),
                f"needs: {needs_said(method)}",
                f"gained: {measured_of(method.name) or 'not measured in the study of all methods'}",
            ),
            method.family,
        )
        for method in METHODS
    ]


def _losses() -> list[Row]:
    import inspect

    from stillhouse import functional, losses

    rooms = (functional.LOSSES, losses.LOSSES)
    found = [(loss.__name__, inspect.getdoc(loss) or "") for room in rooms for loss in room]
    return [Row(name, (text.splitlines()[0],)) for name, text in found]


def _models() -> list[Row]:
    from stillhouse.models import MODEL_FAMILIES

    return [
        Row(", ".join(family.examples), (f"{family.line} {family.paper}".strip(),))
        for family in MODEL_FAMILIES
    ]


def _tasks() -> list[Row]:
    from stillhouse.cli.tasks import task_rows

    return [Row(name, tuple(text.splitlines())) for name, text in task_rows()]


def _data() -> list[Row]:
    from stillhouse.data.load import source_names

    return [Row(name, (text,)) for name, text in source_names()]


def _recipes() -> list[Row]:
    from stillhouse.recipes.ready import ready_recipes, told

    return [Row(name, (told(path),)) for name, path in ready_recipes().items()]


ROOMS: dict[str, Callable[[], list[Row]]] = {
    "models": _models,
    "methods": _methods,
    "losses": _losses,
    "tasks": _tasks,
    "data": _data,
    "recipes": _recipes,
}
