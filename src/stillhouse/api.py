"""The main jobs in one call each."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor, nn

from stillhouse.engine.platform import open_platform
from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError
from stillhouse.faults import system_faults
from stillhouse.recipes import Recipe, load_study, make_recipe, make_study
from stillhouse.recipes.keywords import RecipeKeys
from stillhouse.recipes.typed import DataKeys, InputKeys
from stillhouse.runs.job.calls import by_name
from stillhouse.runs.job.objects import (
    function_of,
    listed,
    named,
    object_of,
    objects_of,
    path_of,
    peers_key,
    placed,
    section_of,
    task_key,
    teacher_objects,
    with_input,
)
from stillhouse.runs.job.watcher import Watcher
from stillhouse.runs.opening import open_run
from stillhouse.runs.outcome import Outcome
from stillhouse.runs.progress import Listening, OnEpoch, check_on_epoch, progress_shown
from stillhouse.runs.run import Objects, prepare, run
from stillhouse.studies.directory import is_study_directory
from stillhouse.studies.outcome import StudyOutcome, open_study
from stillhouse.studies.study import prepare_study, run_study
from stillhouse.studies.table import arm_line
from stillhouse.tasks import Task


@by_name
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
    teacher_input: InputKeys | Mapping[str, Any] | None = None,
    peers: int
    | Sequence[str | Mapping[str, Any] | nn.Module | Callable[..., nn.Module]]
    | None = None,
    student_input: InputKeys | Mapping[str, Any] | None = None,
    method: str | Mapping[str, Any] | Callable[..., Stage] = "kd",
    task: str | Mapping[str, Any] | Task = "classification",
    out: str | Path,
    epochs: int = 30,
    seeds: int | Iterable[int] = 3,
    transform: Callable[[Any], Tensor] | None = None,
    eval_transform: Callable[[Any], Tensor] | None = None,
    data_options: DataKeys | Mapping[str, Any] | None = None,
    shared: str | Path | None = None,
    allow_imports: bool = False,
    quiet: bool = False,
    on_epoch: OnEpoch | None = None,
    watcher: Watcher | None = None,
    **settings: Unpack[RecipeKeys],
) -> Outcome:
    """Distil a teacher into a student, with a control run and a verdict.

    It shows bars in a terminal and in a notebook, and elsewhere a line for each training that ends.
    The same call goes on where a stopped one was, and finds a finished one without training.

    ``data``, ``teacher``, ``student``, ``method``, ``epochs``, ``seeds`` and ``out`` say most of
    it; the rest has defaults. A mapping may hold what its section of a recipe holds.

    Args:
        data: a folder of class folders; the name of a public data set ('cifar100', 'mnist');
            'digits', which needs no download; a file (.npz, .csv, parquet); 'hf:org/name' of the
            hub; a Dataset, or (train, test) Datasets.
        data_options: how they are split and shown: {'size': 64, 'limit': 1000, 'validation': 0.1,
            'augment': ['crop', 'flip'], 'label': 'species', ...}.
        teacher: the large network: a name ('stillhouse ls models'), such as 'resnet56' or
            'timm:resnet50:pretrained'; a module, which is taken as trained; or a function that
            makes one, which is trained first, as a name without weights is. A section says more:
            {'model': 'resnet56', 'weights': 'teacher.pt'}, {'model': module, 'head_path': 'fc'}. A
            list is an ensemble. None for methods without a teacher.
        student: the small network, likewise: a name; a function that makes a module (called once
            per seed, with those of ``classes`` (or ``num_classes``, ``n_classes``), ``channels``
            (or ``in_channels``, ``in_chans``) and ``size`` that it names); or a module (copied;
            then all seeds start from its weights).
        teacher_input, student_input: where one of them wants another image than that of the data:
            {'size': 224, 'channels': 3, 'mean': [...], 'std': [...]}.
        peers: networks that learn beside the student, for methods that take them: how many of the
            student's own kind, or each as the student is given.
        method: how it is taught: a name ('stillhouse ls methods') or {'name': 'kd', 'temperature':
            2, 'weight': 9}. In place of a name a function of your own that gives a Stage, or where
            it is: 'python:mine:largest'.
        task: what the labels mean: 'classification', 'verification', 'detection',
            'text_classification', 'language_model', 'embedding', or {'name': ..., setting: ...}, a
            `stillhouse.Task`, or where one of your own is: 'python:mine:Depth'.
        epochs, seeds: the budget; 3 seeds are 0, 1 and 2, the least for a verdict. Numbers, here
            and in ``settings``, may be those of numpy or PyTorch, and several of them whatever
            gives one after the other.
        out: the directory of the run; the same call goes on with it or finds it finished.
        transform, eval_transform: functions of one image that give a float tensor, instead of the
            built-in augmentation; each view runs under its own seed. Both or none.
        shared: where teachers and controls are kept for other runs; beside ``out`` by default.
        allow_imports: whether 'python:package:function' may be imported.
        quiet: show no progress. Warnings are in ``outcome.warnings`` all the same.
        on_epoch: a function that is called after each epoch of each training (teacher, control,
            student; not of one that was found finished) with a `stillhouse.EpochEnd`: ``stage``,
            ``seed``, ``epoch`` of ``epochs``, ``loss``, ``terms``, ``validation`` and more. Of
            several processes the main one calls it. What it raises ends the call; the same call
            goes on from the last checkpoint.
        watcher: an object that hears of all progress, in place of what is shown.
        settings: the other keys of a recipe, each with a default.
            Training: batch=64, optimizer={'name': 'sgd', 'lr': 0.05}, schedule='cosine', clip,
            accumulate=1, patience, ema, label_smoothing, class_weights, balance.
            Cost: cache='auto', precision='auto', device='auto', compile='auto',
            checkpoint_seconds=30.
            Judgement: control=True, tune, verdict={'margin': 0.5}, probe, track='tensorboard'.
            Without data: transfer={'count': 24000, 'method': 'zero_shot'}.
            Settings of a method, an optimiser or a schedule stand beside its name.

    Returns:
        `Outcome`: ``verdict`` and ``gain``, ``table``, ``plot()``, ``student``, ``report``, ...

    Raises:
        StillhouseError: what was asked, what exists, what to do.

    >>> outcome = distill(  # doctest: +SKIP
    ...     data="digits", teacher="resnet20", student="convnet-8-16", epochs=20,
    ...     method={"name": "kd", "temperature": 3}, out="runs/first")
    >>> print(outcome.verdict)  # doctest: +SKIP
    kd helps: +3.01 points of test accuracy over the control (95 % interval ...
    """
    check_on_epoch(on_epoch)
    peers, place_of_run = listed(peers), path_of("out", out)
    if not isinstance(task, str | Mapping | Task):
        raise RecipeError("distill", [f"task is {task!r}; give a name or a stillhouse.Task"])
    section: dict[str, Any] = section_of("data_options", data_options)
    if "source" in section:
        raise RecipeError("data_options", ["source is given by data=; leave it out"])
    by_name = isinstance(data, str | Path)
    section["source"] = str(data) if by_name else type(data).__name__
    recipe = make_recipe(
        {
            "data": section,
            "student": with_input(named(student), student_input),
            "teacher": None if teacher is None else with_input(named(teacher), teacher_input),
            **peers_key(peers),
            "method": placed(method),
            "task": task_key(task),
            "epochs": epochs,
            "seeds": seeds,
            **settings,
        },
        where="distill",
        call=[name for name in inspect.signature(distill).parameters if name != "settings"],
    )
    objects = Objects(
        data=None if by_name else data,
        student=object_of(student),
        teacher=None if teacher is None else teacher_objects(teacher),
        peers=objects_of(peers),
        transform=transform,
        eval_transform=eval_transform,
        method=function_of(method),
        task=task if isinstance(task, Task) else None,
    )
    with _heard(recipe, quiet=quiet, on_epoch=on_epoch, watcher=watcher) as (hears, _):
        job = prepare(
            recipe,
            place_of_run,
            objects=objects,
            shared=None if shared is None else path_of("shared", shared),
            allow_imports=allow_imports,
            watcher=hears,
        )
        return run(job)


@by_name
@system_faults()
def study(
    recipe: str | Path | Mapping[str, Any],
    *,
    out: str | Path,
    shared: str | Path | None = None,
    allow_imports: bool = False,
    quiet: bool = False,
    on_epoch: OnEpoch | None = None,
    watcher: Watcher | None = None,
) -> StudyOutcome:
    """Compare many arms under one budget, each with its control, corrected for their number.

    Args:
        recipe: a file with ``arms`` or ``sweep``, or the same as a mapping.
        out: the directory of the study; the same call goes on with it or finds it finished.
        shared: where teachers and controls are kept for other runs; beside ``out`` by default.
        allow_imports: whether 'python:package:function' may be imported.
        quiet: show no progress.
        on_epoch: called after each epoch of each training; see `distill`.
        watcher: an object that hears of all progress, in place of what is shown.

    Raises:
        StillhouseError: with the problems of all arms, before anything is trained.
    """
    check_on_epoch(on_epoch)
    loaded = load_study(Path(recipe)) if isinstance(recipe, str | Path) else make_study(recipe)
    first = next(iter(loaded.arms.values()))
    with _heard(first, quiet=quiet, on_epoch=on_epoch, watcher=watcher) as (hears, ended):
        prepared = prepare_study(
            loaded,
            path_of("out", out),
            shared=None if shared is None else path_of("shared", shared),
            allow_imports=allow_imports,
            watcher=hears,
        )
        return run_study(prepared, done=lambda entry: ended(arm_line(entry, prepared.metric)))


@by_name
@system_faults()
def outcome(
    directory: str | Path,
    *,
    shared: str | Path | None = None,
    allow_imports: bool = False,
) -> Outcome | StudyOutcome:
    """What a run or a study that was finished before came to, from its directory.

    Args:
        directory: of a run or a study, whoever made it: `distill`, `study` or the command line.
        shared: where its teachers and controls are kept; beside the directory by default.
        allow_imports: whether 'python:package:function' may be imported, to build its networks.

    Raises:
        StillhouseError: there is none, it is not finished, or a file of it is damaged.
    """
    place = path_of("directory", directory)
    kept = None if shared is None else path_of("shared", shared)
    opened = open_study if is_study_directory(place) else open_run
    return opened(place, shared=kept, allow_imports=allow_imports)


@contextmanager
def _heard(
    recipe: Recipe, *, quiet: bool, on_epoch: OnEpoch | None, watcher: Watcher | None
) -> Iterator[tuple[Watcher, Callable[[str], None]]]:
    """Who hears of progress; and what is told, in a line, of a part that has ended."""
    main = open_platform(device=recipe.device).main
    with progress_shown(quiet=quiet or not main or watcher is not None) as shown:
        hears: Watcher = watcher or shown
        told = hears.say if watcher else shown.ended
        yield (Listening(hears, on_epoch) if on_epoch and main else hears), told
