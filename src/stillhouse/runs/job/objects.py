"""What was given from Python in place of names: how a recipe calls it, and the objects."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError
from stillhouse.recipes.choices import IMPORT
from stillhouse.recipes.plain import LONGEST
from stillhouse.runs.job.teacher import TeacherObjects
from stillhouse.tasks import Task


def with_input(network: Any, wanted: Mapping[str, Any] | None) -> Any:
    """The section of a network that wants its own form of the image."""
    if wanted is None:
        return network
    if isinstance(network, list):
        raise RecipeError("teacher_input", ["of several teachers each has its own; give it there"])
    section = network if isinstance(network, dict) else {"model": network}
    return {**section, "input": section_of("input", wanted)}


def function_of(method: Any) -> Callable[..., Stage] | None:
    """A method that was given as a function."""
    found = method.get("name") if isinstance(method, Mapping) else method
    return found if callable(found) else None


def placed(method: Any) -> Any:
    """How a recipe calls a method that was given as a function."""
    function = function_of(method)
    if function is None:
        return method
    settings = method if isinstance(method, Mapping) else {}
    return {**settings, "name": place(function)}


def place(known: Any) -> str:
    """How a recipe calls what was given as an object: where it is."""
    module, name = (getattr(known, key, "own") for key in ("__module__", "__qualname__"))
    return f"{IMPORT}{module}:{name}"


def task_key(task: Any) -> Any:
    """What a recipe says of a task: of one of the package its name and settings."""
    if not isinstance(task, Task):
        return task
    ours = type(task).__module__.startswith("stillhouse.tasks.")
    return {"name": task.name, **task.settings} if ours else place(type(task))


def section_of(name: str, given: Any) -> dict[str, Any]:
    """The keys of a mapping that was given, or none."""
    if given is not None and not isinstance(given, Mapping):
        said = f"{name} is {given!r}; give a mapping of keys, such as {{'size': 32}}"
        raise RecipeError("distill", [said])
    return dict(given or {})


def path_of(name: str, given: Any) -> Path:
    """The path of a directory that was given.

    Raises:
        RecipeError: it is none.
    """
    if not isinstance(given, str | Path) or not str(given):
        raise RecipeError(name, [f"it is {given!r}; give the path of a directory"])
    return Path(given)


def listed(peers: Any) -> Any:
    """Peers that were given one by one as a list; their number, and what is neither, as it is."""
    one_by_one = isinstance(peers, list | tuple | Iterator | nn.ModuleList)
    return list(itertools.islice(peers, LONGEST + 1)) if one_by_one else peers


def peers_key(peers: Any) -> dict[str, Any]:
    """The key of the recipe; none where nothing was said."""
    if isinstance(peers, list):
        return {"peers": [named(each) for each in peers]}
    return {} if peers is None else {"peers": peers}


def objects_of(peers: Any) -> Sequence[Any] | None:
    """Peers that were given as objects, None in the place of names."""
    return [object_of(each) for each in peers] if isinstance(peers, list) else None


NETWORKS = ("model", "members", "head", "teacher")
"""Keys of a section that hold networks."""


def object_of(network: Any) -> Any:
    """What was given in place of a name, alone or as the model of its section; None for a name."""
    found = network.get("model") if isinstance(network, Mapping) else network
    return None if isinstance(found, str | Path) else found


def teacher_objects(teacher: Any) -> TeacherObjects:
    """The same of a teacher and of all that it comes from."""
    if isinstance(teacher, list | tuple):
        teacher = {"members": teacher}
    if not isinstance(teacher, Mapping):
        return TeacherObjects(object_of(teacher))
    inner = {key: teacher_objects(teacher.get(key)) for key in ("head", "teacher")
             if teacher.get(key) is not None}  # fmt: skip
    members = teacher.get("members") or ()
    return TeacherObjects(
        object_of(teacher), tuple(teacher_objects(each) for each in members), **inner
    )


def named(network: Any) -> Any:
    """How a recipe calls a network that was given as an object, alone or in its section.

    Raises:
        RecipeError: it is none.

    >>> named({"model": nn.Linear(1, 1), "head": "resnet8"})
    {'model': 'Linear', 'head': 'resnet8'}
    """
    if isinstance(network, Mapping):
        inside = {key: named(network[key]) for key in NETWORKS if network.get(key) is not None}
        return {**network, **inside}
    if isinstance(network, list | tuple):
        return [named(each) for each in network]
    if isinstance(network, str):
        return network
    if isinstance(network, Path):
        said = f"'{network}' is a path, and weights need the network that they are for"
        asked = f"{{'model': NAME, 'weights': '{network}'}}"
        raise RecipeError("distill", [f"{said}; give {asked}"])
    if not callable(network):
        said = f"{network!r} is no network; give a name, a function that makes one, or a module"
        raise RecipeError("distill", [said])
    if isinstance(network, nn.Module):
        return type(network).__name__
    return getattr(network, "__qualname__", type(network).__name__)
