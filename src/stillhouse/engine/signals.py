"""Signals: the named tensors of one step, such as ``batch.label`` or ``student.layer3``.

A name is ``node`` or ``node.part``: the part of a Role is ``logits``, ``embedding`` (the input of
its head), a tap (``layer3``, ``fc:in``) or one of several outputs (``:hidden``). Node names hold
no dot.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

Signals = dict[str, Tensor]

BATCH = "batch"
LOGITS = "logits"
EMBEDDING = "embedding"


def owner(signal: str) -> str:
    """The node that a signal comes from.

    >>> owner("student.layer3.0:in")
    'student'
    """
    return signal.split(".", 1)[0]


def part(signal: str) -> str:
    """What of the node it is; empty for a node with one signal.

    >>> part("student.layer3.0:in"), part("projected")
    ('layer3.0:in', '')
    """
    return signal.partition(".")[2]


def as_names(reads: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several, as a tuple.

    >>> as_names("batch.image")
    ('batch.image',)
    """
    return (reads,) if isinstance(reads, str) else tuple(reads)


def named_outputs(output: Any) -> dict[str, Tensor]:
    """Name the tensors that a model returned.

    A tensor is ``logits``. A mapping (also the output objects of transformers) keeps its keys. Of a
    tuple the first tensor is ``logits``, and each element is also there under its position.

    >>> sorted(named_outputs((torch.zeros(1), torch.ones(2))))
    ['0', '1', 'logits']
    """
    if isinstance(output, Tensor):
        return {LOGITS: output}
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items() if isinstance(value, Tensor)}
    if isinstance(output, tuple | list):
        named = {str(i): value for i, value in enumerate(output) if isinstance(value, Tensor)}
        first = next(iter(named.values()), None)
        return named if first is None else {LOGITS: first, **named}
    return {}


def shape_text(value: Tensor) -> str:
    """A shape as people write it: ``[64, 3, 32, 32]``.

    >>> shape_text(torch.zeros(2, 3))
    '[2, 3]'
    """
    return "[" + ", ".join(str(n) for n in value.shape) + "]"


def to_device(signals: Mapping[str, Tensor], device: torch.device) -> Signals:
    """Move a batch without waiting for it.

    >>> to_device({"batch.label": torch.tensor([1])}, torch.device("cpu"))["batch.label"].item()
    1
    """
    return {name: value.to(device, non_blocking=True) for name, value in signals.items()}
