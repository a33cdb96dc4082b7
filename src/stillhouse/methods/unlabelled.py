"""Which methods fit where there are neither labels nor classes: those that read neither."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import torch

from stillhouse.engine.facts import facts_given
from stillhouse.engine.graph import Graph
from stillhouse.engine.nodes import Role
from stillhouse.engine.signals import BATCH, LOGITS, owner, part
from stillhouse.errors import RecipeError, StillhouseError, WiringError
from stillhouse.methods import METHODS, Method
from stillhouse.models import Ensemble, build_model
from stillhouse.tasks import Task

LABEL = f"{BATCH}.label"
SETTINGS: tuple[Mapping[str, Any], ...] = ({}, {"kd_weight": 0})
"""With which a method of the catalogue is tried: its defaults, and without soft classes."""


def labels_and_logits(stage: Graph) -> list[str]:
    """The signals of labels and of logits behind the terms of a stage, each once.

    >>> from stillhouse.methods import kd, rkd
    >>> from torch import nn
    >>> labels_and_logits(kd(nn.Linear(2, 2), nn.Linear(2, 2)))
    ['student.logits', 'batch.label', 'teacher.logits']
    """
    return [signal for signal in _behind(stage) if signal == LABEL or part(signal) == LOGITS]


def _behind(stage: Graph) -> list[str]:
    """All signals behind the terms of a stage, each once."""
    by_name = {node.name: node for node in stage.nodes}
    waiting = [read for term in stage.terms() for read in term.reads]
    seen = dict.fromkeys(waiting)
    for signal in waiting:
        node = by_name.get(owner(signal))
        more = [read for read in (node.needs if node else ()) if read not in seen]
        waiting += more  # grows while it is walked
        seen |= dict.fromkeys(more)
    return list(seen)


def check_hears_all(stage: Graph, method: str) -> None:
    """Refuse a method that listens inside some members of an ensemble and not to the others.

    Args:
        stage: of the method, complete.
        method: its name.

    Raises:
        RecipeError: with what it hears.
    """
    for role in (node for node in stage.nodes if isinstance(node, Role)):
        if not isinstance(role.module, Ensemble):
            continue
        mine = [part(signal) for signal in _behind(stage) if owner(signal) == role.name]
        taps = [tap for each in mine if (tap := role.tap_of(each)) and tap.startswith("members.")]
        heard = {int(tap.split(".")[1]) for tap in taps}
        if heard and len(heard) < len(role.module.members):
            said = f"of {len(role.module.members)} teachers it hears {', '.join(taps)} alone"
            todo = "take a method that reads embeddings, or one teacher"
            raise RecipeError(f"method '{method}'", [f"{said}; {todo}"])


def check_fits(stage: Graph, method: str, task: Task) -> None:
    """Refuse a method that reads labels or logits where a task has neither.

    Args:
        stage: of the method, complete.
        method: its name.
        task: that is headless.

    Raises:
        RecipeError: with what fits.
    """
    terms = [term for term in stage.terms() if not term.by_task]
    if not terms:
        said = f"it learns from labels alone, and the task '{task.name}' has none"
        raise RecipeError(f"method '{method}'", [f"{said}. {what_fits(task)}"])
    try:
        read = labels_and_logits(stage.with_task(task))
    except WiringError as error:
        raise RecipeError(f"method '{method}'", [*error.problems, what_fits(task)]) from None
    if not read:
        return
    without = " with kd_weight: 0" if method in dict(fitting(task)) else ""
    said = f"it reads {', '.join(read)}, and the task '{task.name}' has neither labels nor classes"
    if without:
        raise RecipeError(f"method '{method}'", [f"{said}; write it{without}"])
    raise RecipeError(f"method '{method}'", [f"{said}. {what_fits(task)}"])


def what_fits(task: Task) -> str:
    """A sentence with the methods that a task without labels and classes can take."""
    named = [name + "".join(f" with {k}: {v}" for k, v in s.items()) for name, s in fitting(task)]
    return f"What fits is {', '.join(named)}"


@cache
def fitting(task: Task) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Name and settings of the methods that fit, tried on two small networks."""
    return tuple(
        (method.name, settings) for method in METHODS for settings in list(_tried(method, task))[:1]
    )


def _tried(method: Method, task: Task) -> Iterator[Mapping[str, Any]]:
    """The settings among `SETTINGS` with which it fits."""
    if not method.needs_teacher:
        return
    for settings in SETTINGS:
        if not set(settings) <= set(method.settings):
            continue
        with torch.random.fork_rng(devices=[]):
            student, teacher = (
                build_model(name, classes=2, channels=1) for name in ("convnet-4-4", "convnet-4-8")
            )
            student.fc, student.embeds = torch.nn.Identity(), True  # type: ignore[assignment]
            facts = facts_given({f"{BATCH}.image": torch.randn(8, 1, 8, 8)}, 8)
            try:
                stage = method.stage(student, teacher, **settings).completed(facts)
                if not labels_and_logits(stage.with_task(task)):
                    yield settings
            except StillhouseError:  # a classifier is asked for, or nothing else is learnt
                continue
