"""What was given from Python in place of names: how a recipe calls it, and the objects."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError
from stillhouse.recipes.choices import IMPORT
from stillhouse.recipes.plain import LONGEST, OfObject
from stillhouse.recipes.typed import OF_PYTHON, DataKeys
from stillhouse.runs.job.teacher import TeacherObjects
from stillhouse.tasks import Task


@dataclass(frozen=True)
class GivenData:
    """The data of a call: their section in a recipe, and what it cannot hold."""

    section: Mapping[str, Any]
    source: Any = None
    transform: Callable[[Any], Tensor] | None = None
    eval_transform: Callable[[Any], Tensor] | None = None


def given_data(data: Any) -> GivenData:
    """A name, an object, or a section with one of them as its source.

    Raises:
        RecipeError: a section without its source.

    >>> given_data("digits").section, given_data([1]).section, given_data([1]).source
    ({'source': 'digits'}, {'source': 'list'}, [1])
    """
    keyed = isinstance(data, Mapping) and (
        "source" in data or set(data) & set(DataKeys.__annotations__)
    )
    section: dict[str, Any] = dict(data) if keyed else {"source": data}
    if section.get("source") is None:
        said = "the data have no source; name it, or give an object: data={'source': 'digits', ...}"
        raise RecipeError("distill", [said])
    functions = {key: section.pop(key, None) for key in OF_PYTHON}
    for key, function in functions.items():
        if function is not None and not callable(function):
            raise RecipeError(
                "distill", [f"data.{key} is {function!r}; give a function of one image"]
            )
    source = section["source"]
    if isinstance(source, str | Path):
        return GivenData({**section, "source": str(source)}, None, **functions)
    return GivenData({**section, "source": OfObject(type(source).__name__)}, source, **functions)


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
        return OfObject(type(network).__name__)
    return OfObject(getattr(network, "__qualname__", type(network).__name__))
