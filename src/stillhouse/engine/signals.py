"""Signals: the named tensors of one step, such as ``batch.label`` or ``student.layer3``.

A name is ``node`` or ``node.part``: the part of a Role is ``logits``, ``embedding`` (the input of
its head), a tap (``layer3``, ``fc:in``) or one of several outputs (``:hidden``). Node names hold
no dot.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from stillhouse.models.outputs import LOGITS as LOGITS

Signals = dict[str, Tensor]

BATCH = "batch"
IMAGE = "batch.image"
"""What a network reads that says nothing else."""
CONTENT = "batch.content"
"""How much of its frame each image is, in height and width, [B, 2]."""
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
