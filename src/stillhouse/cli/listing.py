"""``stillhouse ls``: what there is."""

from collections.abc import Callable
from typing import Annotated

import typer

Rows = list[tuple[str, str]]
Groups = dict[str, Rows]
"""Rows by what they have in common; those under "" by nothing."""


def listing(
    what: Annotated[str | None, typer.Argument(help="models, methods, losses or data.")] = None,
) -> None:
    """List models, methods by family, losses and data sources, one line each."""
    from stillhouse.errors import RecipeError, nearest

    rooms: dict[str, Callable[[], Groups]] = {
        "methods": _methods,
        "losses": _losses,
        "models": _models,
        "data": _data,
    }
    if what is not None and what not in rooms:
        raise RecipeError("ls", [f"no list '{what}'; {nearest(what, rooms)}"])
    for name in [what] if what else rooms:
        _print(name, rooms[name]())


def _print(title: str, groups: Groups) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(title, style="bold underline"))
    for group, rows in groups.items():
        if group:
            console.print(Text(f"\n{group}", style="underline"))
        for name, line in rows:
            console.print(Text(name, style="bold"))
            console.print(Padding(Text(line.replace("``", "")), (0, 0, 0, 4)))
    console.print("")


def _methods() -> Groups:
    from stillhouse.methods import METHODS

    families: Groups = {}
    for method in METHODS:
        row = (method.name, f"{method.line} {method.paper}".strip())
        families.setdefault(method.family, []).append(row)
    return families


def _losses() -> Groups:
    import inspect

    from stillhouse import functional, losses

    rooms = (functional.LOSSES, losses.LOSSES)
    found = [(loss.__name__, inspect.getdoc(loss) or "") for room in rooms for loss in room]
    return {"": [(name, text.splitlines()[0]) for name, text in found]}


def _models() -> Groups:
    from stillhouse.models import MODEL_FAMILIES

    rows = [
        (", ".join(family.examples), f"{family.line} {family.paper}".strip())
        for family in MODEL_FAMILIES
    ]
    return {"": rows}


def _data() -> Groups:
    from stillhouse.data.load import source_names

    return {"": list(source_names())}
