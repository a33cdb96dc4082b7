"""The pages of the Python API: what a user may import, from the docstrings."""

import inspect
from importlib import import_module
from types import ModuleType

import stillhouse
from stillhouse.methods import METHODS

ROOMS = {
    "functional": "Formulas: pure functions of tensors, one value for each example.",
    "losses": "Losses with parameters or a memory.",
    "bridges": "Modules that derive one signal from others, such as projectors.",
    "models": "Networks by name.",
    "students": "Students made out of their teacher.",
    "synthesis": "Images from a teacher alone.",
    "tasks": "What labels mean: the loss, the metrics and their direction.",
    "data": "Sources, splits, views and batches.",
    "testing": "The contract that losses and methods keep, yours too.",
    "errors": "What is raised.",
}
"""Rooms with a page of their own, in the order of the site."""


def pages() -> dict[str, str]:
    """The pages, by their names in the folder of generated pages."""
    rooms = {f"api/{room}.md": _room(room, line) for room, line in ROOMS.items()}
    return {"api.md": _top(), **rooms}


def _top() -> str:
    """The names of the package itself, and where the rooms are."""
    names = [name for name in stillhouse.__all__ if not name.startswith("_")]
    own = [name for name in names if not inspect.ismodule(getattr(stillhouse, name))]
    listed = "\n".join(f"| [{room}](api/{room}.md) | {line} |" for room, line in ROOMS.items())
    trees = "\n".join(f"api/{room}" for room in ROOMS)
    described = "\n".join(_described(getattr(stillhouse, name), name) for name in own)
    return f"""# Python API

`import stillhouse as sh`; everything below is `sh.NAME`, and is loaded when it is asked for.
The methods have [their own pages](methods.md); how the calls belong together is told in
[from Python](../python.md) and [your own loop](../own-loop.md).

| room | what |
|---|---|
{listed}

```{{toctree}}
:hidden:

{trees}
```

## sh

```{{eval-rst}}
.. py:currentmodule:: stillhouse

{described}
```
"""


def _room(room: str, line: str) -> str:
    module = import_module(f"stillhouse.{room}")
    described = "\n".join(_described(value, f"{room}.{name}") for name, value in members(module))
    return f"# stillhouse.{room}\n\n{line}\n\n```{{eval-rst}}\n{described}\n```\n"


def members(module: ModuleType) -> list[tuple[str, object]]:
    """Functions and classes that a room gives and no other page has, in the order of its imports.

    >>> from stillhouse import losses
    >>> [name for name, _ in members(losses)][:2]
    ['GaussianNLL', 'MemoryContrast']
    """
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    found = [(name, getattr(module, name)) for name in names]
    elsewhere = [method.build for method in METHODS]
    elsewhere += [getattr(stillhouse, name) for name in stillhouse.__all__]
    return [
        (name, value)
        for name, value in found
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__.startswith(module.__name__)
        and not any(value is each for each in elsewhere)
    ]


def _described(value: object, name: str) -> str:
    """The directive of one name, as a user writes it."""
    kind = "autoclass" if inspect.isclass(value) else "autofunction"
    options = "   :members:\n" if kind == "autoclass" else ""
    return f".. {kind}:: stillhouse.{name}\n{options}"
