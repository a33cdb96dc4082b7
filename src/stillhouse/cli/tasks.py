"""``stillhouse ls tasks``: what each needs of data and networks, measures, and takes of methods."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

from stillhouse.methods import METHODS
from stillhouse.methods.fitting import unfitting
from stillhouse.methods.unlabelled import what_fits
from stillhouse.tasks import TASKS, Task


def task_rows() -> list[tuple[str, str]]:
    """A row for each task: its name, and lines on it."""
    return [(make.__name__, "\n".join(_lines(make))) for make in TASKS]


def _lines(make: Callable[..., Task]) -> Iterator[str]:
    task = make()
    yield (inspect.getdoc(type(task)) or "").splitlines()[0]
    yield f"Data: {_data(task)}."
    yield f"Networks: {_networks(task)}."
    yield f"Measures: {_measures(task)}."
    settings = [_setting(make, name) for name in inspect.signature(make).parameters]
    if settings:
        yield f"Settings: {', '.join(settings)}."
    yield f"Methods: {_methods(task)}"


def _data(task: Task) -> str:
    if task.headless:
        return "images, with labels or without"
    if task.open_set:
        return (
            "images with the person (class) of each; validation and test are of people whom "
            "training has none of (data.test as a number of people, data.unseen or data.pairs)"
        )
    said = "labelled rows"
    return said if task.of_unseen is None else f"{said}; data.unseen holds classes out beside them"


def _networks(task: Task) -> str:
    if task.headless:
        return "a teacher that comes trained; of each what its classifier reads, or what it gives"
    if task.measured == "embedding":
        return (
            "a classifier of cosines is put in place of each learner's; scored is what it reads, "
            "so a network of one's own has a head that is found or named (head_path)"
        )
    return f"their {task.measured} are scored"


def _measures(task: Task) -> str:
    metric = task.metric
    unit = f" in {metric.unit}" if metric.unit else ""
    more = [name for name in task.whole if name != metric.name]
    beside = f"; beside it {', '.join(more)}" if more else ""
    if task.of_unseen is not None:
        beside += f"; on data.unseen what the task '{task.of_unseen.name}' measures"
    direction = "more" if metric.higher_is_better else "less"
    return f"{metric.name}{unit}, {direction} is better{beside}"


def _setting(make: Callable[..., Task], name: str) -> str:
    default = inspect.signature(make).parameters[name].default
    choices: tuple[Any, ...] = get_args(get_type_hints(make)[name])
    words = [each for each in choices if isinstance(each, str)]
    among = f" (of {', '.join(words)})" if words else ""
    return f"{name} = {default}{among}"


def _methods(task: Task) -> str:
    unfit = unfitting(task)
    if not unfit:
        return f"all {len(METHODS)} fit."
    if task.headless:
        return f"{what_fits(task)}; the others read labels or logits."
    said = "; ".join(f"{name} ({why})" for name, why in unfit.items())
    return f"{len(METHODS) - len(unfit)} of {len(METHODS)} fit, not {said}."
