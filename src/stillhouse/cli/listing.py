"""``stillhouse ls``: what there is."""

from collections.abc import Callable
from typing import Annotated

import typer

Rows = list[tuple[str, str]]


def listing(
    what: Annotated[str | None, typer.Argument(help="models, methods, losses or data.")] = None,
) -> None:
    """List models, methods, losses and data sources, one line each."""
    from stillhouse.errors import RecipeError, nearest

    rooms: dict[str, Callable[[], Rows]] = {
        "methods": _methods,
        "losses": _losses,
        "models": _models,
        "data": _data,
    }
    if what is not None and what not in rooms:
        raise RecipeError("ls", [f"no list '{what}'; {nearest(what, rooms)}"])
    for name in [what] if what else rooms:
        _print(name, rooms[name]())


def _print(title: str, rows: Rows) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(title, style="bold underline"))
    for name, line in rows:
        console.print(Text(name, style="bold"))
        console.print(Padding(Text(line.replace("``", "")), (0, 0, 0, 4)))
    console.print("")


def _methods() -> Rows:
    from stillhouse.methods import METHODS

    return [(m.name, f"{m.line} {m.paper}".strip()) for m in METHODS]


def _losses() -> Rows:
    import inspect

    from stillhouse import functional, losses

    rooms = (functional, losses)
    found = [(name, getattr(room, name)) for room in rooms for name in room.__all__]
    return [(name, (inspect.getdoc(loss) or "").splitlines()[0]) for name, loss in found]


def _models() -> Rows:
    from stillhouse.models import MODEL_FAMILIES

    return [
        (", ".join(family.examples), f"{family.line} {family.paper}".strip())
        for family in MODEL_FAMILIES
    ]


def _data() -> Rows:
    from stillhouse.data.load import source_names

    return list(source_names())
