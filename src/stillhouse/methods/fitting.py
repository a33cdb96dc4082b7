"""Which methods of the catalogue fit a task, tried on two small networks."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from stillhouse.engine.facts import facts_given
from stillhouse.engine.signals import BATCH
from stillhouse.engine.stage import Stage
from stillhouse.errors import StillhouseError, WiringError
from stillhouse.methods import METHODS, Method
from stillhouse.methods.unlabelled import fitting
from stillhouse.models import build_model
from stillhouse.tasks import Task

CLASSES, ROWS = 2, 8


@cache
def unfitting(task: Task) -> Mapping[str, str]:
    """The methods that do not fit a task, and why; networks of the user's own may lack more.

    >>> from stillhouse.tasks import find_task
    >>> dict(unfitting(find_task("classification")))
    {}
    >>> list(unfitting(find_task("verification")))
    ['simkd']
    """
    if task.headless:
        known = dict(fitting(task))
        return {m.name: "it reads labels or logits" for m in METHODS if m.name not in known}
    found = ((method.name, _problem(method, task)) for method in METHODS)
    return {name: problem for name, problem in found if problem}


def _problem(method: Method, task: Task) -> str:
    with torch.random.fork_rng(devices=[]):
        try:
            stage = _stage(method)
        except StillhouseError:  # it wants other networks than these, whatever the task
            return ""
    try:
        stage.with_task(task)
    except WiringError as error:
        return error.problems[0]
    return ""


def _stage(method: Method) -> Stage:
    networks: list[nn.Module | list[nn.Module]] = [_net("convnet-4-4")]
    if method.needs_peers:
        networks.append([_net("convnet-4-4")])
    elif method.needs_teacher:
        networks.append(_net("convnet-4-8"))
    label: Tensor = torch.arange(ROWS) % CLASSES
    batch = {f"{BATCH}.image": torch.randn(ROWS, 1, 8, 8), f"{BATCH}.label": label}
    return method.stage(*networks).completed(facts_given(batch, label))


def _net(name: str) -> nn.Module:
    return build_model(name, classes=CLASSES, channels=1)
