"""A method's objective by its name: what somebody's own loop needs, in one call."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.objective import Objective
from stillhouse.errors import RecipeError
from stillhouse.methods import find_method
from stillhouse.methods.settings import unknown_settings
from stillhouse.tasks import Task


def objective(
    method: str,
    student: nn.Module,
    teacher: nn.Module | Node | Sequence[nn.Module] | None,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    index: Tensor | None = None,
    rows: int | Tensor | None = None,
    epochs: float | None = None,
    seed: int = 0,
    task: Task | None = None,
    autocast: torch.dtype | None = None,
    signals: dict[str, Tensor] | None = None,
    **settings: Any,
) -> Objective:
    """The objective of a method of the catalogue: ``stage.open(...)`` of ``methods.NAME(...)``.

    Args:
        method: its name ('stillhouse ls methods').
        student: learns.
        teacher: frozen; None for methods without one; of methods of peers, the peers.
        images, labels, index, rows, epochs, seed, task, autocast: as of `Stage.open`.
        signals: what else a batch holds, by name.
        settings: of the method.

    Raises:
        RecipeError: there is no such method or setting, or the method takes no teacher (or needs
            one).
        WiringError: the networks do not fit together.

    >>> student, teacher = nn.Linear(4, 2), nn.Linear(4, 2)
    >>> images, labels = torch.randn(8, 4), torch.tensor([0, 1] * 4)
    >>> with objective("kd", student, teacher, images, labels, temperature=2.0) as kd:
    ...     sorted(kd(images, labels).terms)
    ['kd', 'label']
    """
    known = find_method(method)
    problem = _teacher_problem(known.needs_teacher, known.needs_peers, teacher)
    problems = [*([problem] if problem else []), *unknown_settings(known.build, settings)]
    if problems:
        raise RecipeError(f"method '{method}'", problems)
    given = [] if teacher is None else [teacher]
    stage = known.stage(student, *given, **settings)
    return stage.open(
        images, labels, index=index, rows=rows, epochs=epochs, seed=seed, task=task,
        autocast=autocast, **(signals or {}),
    )  # fmt: skip


def _teacher_problem(needs_teacher: bool, needs_peers: bool, given: object) -> str | None:
    if needs_peers and not isinstance(given, Sequence):
        return "it learns beside peers; give a list of networks in the place of the teacher"
    if needs_teacher and (given is None or isinstance(given, Sequence)):
        return "it needs a teacher, a network or a node"
    if not needs_teacher and not needs_peers and given is not None:
        return "it takes no teacher; give None in its place"
    return None
