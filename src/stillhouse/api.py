"""The main jobs in one call each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stillhouse.engine.stage import Stage
from stillhouse.engine.task import Task
from stillhouse.errors import RecipeError
from stillhouse.faults import system_faults
from stillhouse.recipes import load_study, make_recipe, make_study
from stillhouse.recipes.choices import IMPORT
from stillhouse.runs.job.teacher import TeacherObjects
from stillhouse.runs.job.watcher import Watcher
from stillhouse.runs.run import Objects, Outcome, prepare, run
from stillhouse.studies.study import StudyOutcome, prepare_study, run_study


@system_faults()
def distill(
    *,
    data: Any,
    student: str | Mapping[str, Any] | nn.Module | Callable[..., nn.Module],
    teacher: str
    | Mapping[str, Any]
    | list[Any]
    | nn.Module
    | Callable[..., nn.Module]
    | None = None,
    teacher_input: Mapping[str, Any] | None = None,
    peers: int
    | Sequence[str | Mapping[str, Any] | nn.Module | Callable[..., nn.Module]]
    | None = None,
    student_input: Mapping[str, Any] | None = None,
    method: str | Mapping[str, Any] | Callable[..., Stage] = "kd",
    task: str | Task = "classification",
    out: str | Path,
    epochs: int = 30,
    seeds: int | Sequence[int] = 3,
    transform: Callable[[Any], Tensor] | None = None,
    eval_transform: Callable[[Any], Tensor] | None = None,
    data_options: Mapping[str, Any] | None = None,
    shared: str | Path | None = None,
    allow_imports: bool = False,
    watcher: Watcher | None = None,
    **settings: Any,
) -> Outcome:
    """Distil a teacher into a student, with a control run and a verdict.

    Args:
        data: 'digits', a folder, a .npz, a hub name, a Dataset, or (train, test) Datasets.
        student: a name ('stillhouse ls models'), a function that makes a module (called once per
            seed), or a module (copied; then all seeds start from its weights). A function is called
            with those of ``classes`` (or ``num_classes``, ``n_classes``), ``channels`` (or
            ``in_channels``, ``in_chans``) and ``size`` that it names.
        teacher: likewise; a module is taken as trained. A name or a function is trained first.
            Either may be a section of a recipe instead, with a name or an object as its model:
            {'model': module, 'head_path': 'fc', 'output': 1}. A list of them is an ensemble.
        peers: networks that learn beside the student, for methods that take them: how many of the
            student's own kind, or each as the student is given.
        teacher_input, student_input: where one of them wants another image than that of the data:
            {'size': 224, 'channels': 3, 'mean': [...], 'std': [...]}.
        method: a name ('stillhouse ls methods') or {'name': ..., setting: ...}. In place of a name
            a function of your own that gives a Stage, or where it is: 'python:mine:largest'.
        task: what the labels mean: a name, a `stillhouse.Task` of your own, or where one is:
            'python:mine:Depth'.
        out: the directory of the run; the same call goes on with it or finds it finished.
        epochs, seeds: the budget; 3 seeds are 0, 1 and 2.
        transform, eval_transform: functions of one image that give a float tensor, instead of the
            built-in augmentation; each view runs under its own seed. Both or none.
        data_options: other keys of the data section: {'limit': 1000, 'augment': 'none'}, ...
        shared: where teachers and controls are kept for other runs; beside ``out`` by default.
        allow_imports: whether 'python:package:function' may be imported.
        watcher: hears of progress.
        settings: any other key of a recipe: batch=128, optimizer={'name': 'sgd', 'lr': 0.1}, ...

    Raises:
        StillhouseError: what was asked, what exists, what to do.
    """
    section: dict[str, Any] = dict(data_options or {})
    named = isinstance(data, str | Path)
    section["source"] = str(data) if named else type(data).__name__
    recipe = make_recipe(
        {
            "data": section,
            "student": _with_input(_named(student), student_input),
            "teacher": None if teacher is None else _with_input(_named(teacher), teacher_input),
            **_peers(peers),
            "method": _placed(method),
            "task": task if isinstance(task, str) else _place(type(task)),
            "epochs": epochs,
            "seeds": seeds if isinstance(seeds, int) else list(seeds),
            **settings,
        },
        where="distill",
    )
    objects = Objects(
        data=None if named else data,
        student=_object(student),
        teacher=None if teacher is None else _teacher_objects(teacher),
        peers=_objects(peers),
        transform=transform,
        eval_transform=eval_transform,
        method=_function(method),
        task=None if isinstance(task, str) else task,
    )
    job = prepare(
        recipe,
        Path(out),
        objects=objects,
        shared=Path(shared) if shared else None,
        allow_imports=allow_imports,
        watcher=watcher,
    )
    return run(job)


@system_faults()
def study(
    recipe: str | Path | Mapping[str, Any],
    *,
    out: str | Path,
    shared: str | Path | None = None,
    allow_imports: bool = False,
    watcher: Watcher | None = None,
) -> StudyOutcome:
    """Compare many arms under one budget, each with its control, corrected for their number.

    Args:
        recipe: a file with ``arms`` or ``sweep``, or the same as a mapping.
        out: the directory of the study; the same call goes on with it or finds it finished.
        shared: where teachers and controls are kept for other runs; beside ``out`` by default.
        allow_imports: whether 'python:package:function' may be imported.
        watcher: hears of progress.

    Raises:
        StillhouseError: with the problems of all arms, before anything is trained.
    """
    loaded = load_study(Path(recipe)) if isinstance(recipe, str | Path) else make_study(recipe)
    prepared = prepare_study(
        loaded,
        Path(out),
        shared=Path(shared) if shared else None,
        allow_imports=allow_imports,
        watcher=watcher,
    )
    return run_study(prepared)


def _with_input(network: Any, wanted: Mapping[str, Any] | None) -> Any:
    if wanted is None:
        return network
    if isinstance(network, list):
        raise RecipeError("teacher_input", ["of several teachers each has its own; give it there"])
    section = network if isinstance(network, dict) else {"model": network}
    return {**section, "input": dict(wanted)}


def _function(method: Any) -> Callable[..., Stage] | None:
    """A method that was given as a function."""
    found = method.get("name") if isinstance(method, Mapping) else method
    return found if callable(found) else None


def _placed(method: Any) -> Any:
    """How a recipe calls a method that was given as a function."""
    function = _function(method)
    if function is None:
        return method
    settings = method if isinstance(method, Mapping) else {}
    return {**settings, "name": _place(function)}


def _place(known: Any) -> str:
    """How a recipe calls what was given as an object: where it is."""
    module, name = (getattr(known, key, "own") for key in ("__module__", "__qualname__"))
    return f"{IMPORT}{module}:{name}"


def _peers(peers: Any) -> dict[str, Any]:
    """The key of the recipe; none where nothing was said."""
    if peers is None or isinstance(peers, int):
        return {} if peers is None else {"peers": peers}
    return {"peers": [_named(each) for each in peers]}


def _objects(peers: Any) -> Sequence[Any] | None:
    """Peers that were given as objects, None in the place of names."""
    if peers is None or isinstance(peers, int):
        return None
    return [_object(each) for each in peers]


NETWORKS = ("model", "members", "head", "teacher")
"""Keys of a section that hold networks."""


def _object(network: Any) -> Any:
    """What was given in place of a name, alone or as the model of its section; None for a name."""
    found = network.get("model") if isinstance(network, Mapping) else network
    return None if isinstance(found, str | Path) else found


def _teacher_objects(teacher: Any) -> TeacherObjects:
    """The same of a teacher and of all that it comes from."""
    if isinstance(teacher, list | tuple):
        teacher = {"members": teacher}
    if not isinstance(teacher, Mapping):
        return TeacherObjects(_object(teacher))
    inner = {key: _teacher_objects(teacher.get(key)) for key in ("head", "teacher")
             if teacher.get(key) is not None}  # fmt: skip
    members = teacher.get("members") or ()
    return TeacherObjects(
        _object(teacher), tuple(_teacher_objects(each) for each in members), **inner
    )


def _named(network: Any) -> Any:
    """How a recipe calls a network that was given as an object, alone or in its section."""
    if isinstance(network, Mapping):
        inside = {key: _named(network[key]) for key in NETWORKS if network.get(key) is not None}
        return {**network, **inside}
    if isinstance(network, list | tuple):
        return [_named(each) for each in network]
    if isinstance(network, str):
        return network
    if isinstance(network, Path):
        said = f"'{network}' is a path, and weights need the network that they are for"
        asked = f"{{'model': NAME, 'weights': '{network}'}}"
        raise RecipeError("distill", [f"{said}; give {asked}"])
    if isinstance(network, nn.Module):
        return type(network).__name__
    return getattr(network, "__qualname__", type(network).__name__)
