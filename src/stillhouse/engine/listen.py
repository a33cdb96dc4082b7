"""What a role gives of a batch by itself: one look, after which all is as it was."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stillhouse.engine.flags import Flags
from stillhouse.engine.nodes import Role
from stillhouse.engine.signals import Signals
from stillhouse.errors import WiringError
from stillhouse.models.given import set_eval


def listen(role: Role, parts: Sequence[str], signals: Mapping[str, Tensor]) -> Signals:
    """These parts of a role, in eval mode and without gradients, with its outputs.

    Args:
        role: listened to.
        parts: ``embedding``, ``logits``, taps.
        signals: what it reads, on its device.

    Raises:
        WiringError: it cannot give a part, or a tap is changed in place afterwards.

    >>> from torch import nn
    >>> role = Role("student", nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    >>> sorted(listen(role, ["embedding"], {"batch.image": torch.ones(3, 1, 2, 2)}))
    ['student.embedding', 'student.logits']
    """
    problems = [problem for part in parts if (problem := role.problem(part))]
    if problems:
        raise WiringError(f"role '{role.name}'", problems)
    flags = Flags([role.module])
    try:
        set_eval(role.module)
        role.open(parts)
        role.watch()
        with torch.no_grad():
            return role.run(signals)
    finally:
        role.close()
        flags.restore()
