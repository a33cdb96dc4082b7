"""The main jobs in one call each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

from stillhouse.engine.platform import open_platform
from stillhouse.errors import RecipeError
from stillhouse.faults import system_faults
from stillhouse.recipes import Recipe, load_study, make_recipe, make_study
from stillhouse.runs.job.calls import by_name
from stillhouse.runs.job.keywords import Data, Method, RunKeys, Student, Teacher
from stillhouse.runs.job.objects import (
    function_of,
    given_data,
    listed,
    named,
    object_of,
    objects_of,
    path_of,
    peers_key,
    placed,
    task_key,
    teacher_objects,
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
from stillhouse.tasks import CLASSIFICATION, Task


@by_name
@system_faults()
def distill(
    *,
    teacher: Teacher | None = None,
    student: Student,
    data: Data,
    method: Method = "kd",
    out: str | Path,
    epochs: int = 30,
    seeds: int | Iterable[int] = 3,
    quiet: bool = False,
    on_epoch: OnEpoch | None = None,
    **settings: Unpack[RunKeys],
) -> Outcome:
    """Distil a teacher into a student, and compare it with the same student trained alone.

    It shows bars in a terminal and in a notebook, and elsewhere a line for each training that ends.
    The same call continues a run that was stopped, and finds a finished one without training.

    A call is a recipe: arguments have the names and sections of a recipe in YAML, and take objects
    besides; ``distill(**recipe, out="runs/first")`` runs a recipe that was read. They are given by
    name, since a teacher and a student that change places would train all the same.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> outcome = distill(
    ...     teacher="resnet8", student="convnet-4", data={"source": "digits", "limit": 100},
    ...     method={"name": "kd", "temperature": 3}, optimizer={"name": "adamw", "lr": 0.01},
    ...     epochs=1, seeds=1, cache="never", compile=False, out=f"{folder.name}/first", quiet=True)
    >>> list(outcome.table.index)
    ['teacher', 'control', 'student']
    >>> folder.cleanup()

    Args:
        teacher: the large network: a name ('stillhouse ls models'), such as 'resnet56' or
            'timm:resnet50:pretrained'; a module, which is taken as trained; or a function that
            makes one, which is trained first, as a name without weights is. A list is an ensemble.
            None for methods without a teacher. Or a section, see below.
        student: the small network, likewise: a name; a function that makes a module (called once
            per seed, with those of ``classes`` (or ``num_classes``, ``n_classes``), ``channels``
            (or ``in_channels``, ``in_chans``) and ``size`` that it names); or a module (copied;
            then all seeds start from its weights). Or a section.
        data: a folder of class folders; the name of a public data set ('cifar100', 'mnist');
            'digits', which needs no download; a file (.npz, .csv, parquet); 'hf:org/name' of the
            hub; a Dataset, or (train, test) Datasets. Or a section, with one of them as 'source'.
        method: how the student is taught: a name ('stillhouse ls methods'); {'name': 'kd',
            'temperature': 2, 'weight': 9}; in place of a name a function of your own that gives a
            Stage, or where it is: 'python:mine:largest'.
        out: the directory of the run; the same call goes on with it or finds it finished.
        epochs, seeds: the budget; 3 seeds are 0, 1 and 2, the least for a verdict. Numbers, here
            and in sections, may be those of numpy or PyTorch.
        quiet: show no progress. Warnings are in ``outcome.warnings`` all the same.
        on_epoch: a function that is called after each epoch of each training (teacher, control,
            student; not of one that was found finished) with a `stillhouse.EpochEnd`. Of several
            processes the main one calls it. What it raises ends the call; the same call goes on
            from the last checkpoint.
        settings: the other keys of a recipe, each with a default. A section is a mapping; of one
            that has a name, the name alone does. Editors complete the keys
            (`stillhouse.recipes.typed`).

            **Networks and data.**

            - teacher={'model': ..., key: ...}: a name or an object as its model; weights,
              weights_key, weights_prefix, weights_head, start, lr_scale, head_path, output,
              arguments, frozen, input; how it is trained: epochs, patience, seed, until, method,
              teacher (its own), data, label_smoothing, class_weights; head, classes, dtype,
              centres, members.
            - student={'model': ..., key: ...}: weights to input as a teacher has; head ('own',
              'shared', 'copied'), quantise='int8', keep; or made out of its teacher: derive
              ('low_rank', 'depthwise', 'prune', 'shared', 'thinner') with rank, ratio, energy,
              scheme, bits.
            - input={...} of either, where it wants another image than that of the data: size, pad,
              channels, order, mean, std.
            - data={'source': ..., key: ...}: size, load_size, crop_pct, augment; validation, test,
              limit, split_seed, view_seed, views; columns: image, label, text; tokens, annotations,
              boxes; unseen, pairs, folds, min_per_class; pictures, workers; archives of .tar with
              shuffle, local, local_gb. In Python alone
              transform and eval_transform: functions of one image that give a float tensor in place
              of the built-in augmentation, each view under its own seed; both or none.
            - peers: networks that learn beside the student: how many of its own kind, or a list of
              networks.
            - task: 'classification', 'verification', 'detection', 'text_classification',
              'language_model', 'embedding', {'name': ..., setting: ...}, a `stillhouse.Task`, or
              'python:mine:Depth'.
            - transfer, instead of data: count, method, seed, augment, images_per_epoch.

            **Training.**

            - batch=64, accumulate=1, clip, patience, label_smoothing=0, class_weights.
            - optimizer='sgd': name (any of torch), lr=0.05, momentum, dampening, nesterov,
              weight_decay, no_decay, betas, eps, amsgrad and what else torch gives it.
            - schedule='cosine': name, warmup, end, milestones, gamma, every, rise.
            - ema: decay, warmup.
            - balance='gradient': by, share, batches.

            **Judgement.**

            - control=True: whether the student is also trained alone. tune=True: first choose
              temperature and weight on validation data, or {'weight': [0.5, 0.9]}.
            - verdict: margin.
            - probe: source, image, label, validation, test, split_seed, supervised.
            - track='tensorboard': to, project.

            **Speed and place.**

            - cache='auto' of the teacher's outputs: use, dtype, top, directory, local, local_gb.
            - precision='auto', device='auto', compile='auto', checkpoint_seconds=30.
            - shared: the directory of teachers and controls, for other runs too; beside ``out`` by
              default. allow_imports=True: 'python:package:function' may be imported. watcher: an
              object that hears of all progress, in place of what is shown.

    Returns:
        `Outcome`: ``verdict`` and ``gain``, ``table``, ``plot()``, ``student``, ``report``, ...

    Raises:
        StillhouseError: what was asked, what exists, what to do; the sentence of the command line.
    """
    check_on_epoch(on_epoch)
    peers, place_of_run = listed(settings.pop("peers", None)), path_of("out", out)
    task = settings.pop("task", CLASSIFICATION.name)
    watcher, shared = settings.pop("watcher", None), settings.pop("shared", None)
    allow_imports = settings.pop("allow_imports", False)
    if not isinstance(task, str | Mapping | Task):
        raise RecipeError("distill", [f"task is {task!r}; give a name or a stillhouse.Task"])
    given = given_data(data)
    recipe = make_recipe(
        {
            "data": given.section,
            "student": named(student),
            "teacher": None if teacher is None else named(teacher),
            **peers_key(peers),
            "method": placed(method),
            "task": task_key(task),
            "epochs": epochs,
            "seeds": seeds,
            **settings,
        },
        where="distill",
        call=[*OWN_ARGUMENTS, *RunKeys.__annotations__],
    )
    objects = Objects(
        data=given.source,
        student=object_of(student),
        teacher=None if teacher is None else teacher_objects(teacher),
        peers=objects_of(peers),
        transform=given.transform,
        eval_transform=given.eval_transform,
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


OWN_ARGUMENTS = tuple(each for each in inspect.signature(distill).parameters if each != "settings")
"""Those of `distill` that have a place in its signature."""


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
