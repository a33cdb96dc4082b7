"""What a forward pass in train mode moves is put back: a look ahead leaves no trace."""

import copy
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def untouched(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Within the block modules may run in train mode; afterwards they are as before, in every bit.

    Put back are parameters, buffers (also one that was assigned anew), what `get_extra_state`
    tells, and generators of random numbers that a module holds. The generators of the process are
    left to `seeded`. Memory: a second copy of the tensors for the length of the block.

    >>> norm = nn.BatchNorm1d(1)
    >>> with untouched([norm]):
    ...     _ = norm(torch.tensor([[1.0], [3.0]]))
    ...     during = norm.running_mean.item()
    >>> round(during, 4), norm.running_mean.item()
    (0.2, 0.0)
    """
    parts = list(dict.fromkeys(part for module in modules for part in module.modules()))
    names = [dict(part._buffers) for part in parts]
    held = {id(t): (t, t.detach().clone()) for part in parts for t in _tensors(part)}
    extra = [(part, copy.deepcopy(part.get_extra_state())) for part in parts if _has_extra(part)]
    drawn = [_Drawn(value) for part in parts for value in vars(part).values() if _draws(value)]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in held.values():
                tensor.copy_(before)
        for part, buffers in zip(parts, names, strict=True):
            part._buffers.clear()
            part._buffers.update(buffers)
        for part, state in extra:
            part.set_extra_state(state)
        for generator in drawn:
            generator.restore()


def _tensors(part: nn.Module) -> Iterator[Tensor]:
    own = (*part._parameters.values(), *part._buffers.values())
    return (tensor for tensor in own if tensor is not None and not tensor.is_inference())


def _has_extra(part: nn.Module) -> bool:
    return type(part).get_extra_state is not nn.Module.get_extra_state


def _draws(value: object) -> bool:
    return isinstance(value, torch.Generator | np.random.Generator | random.Random)


class _Drawn:
    """A generator and where it was."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        if isinstance(generator, torch.Generator):
            self._state: Any = generator.get_state()
        elif isinstance(generator, random.Random):
            self._state = generator.getstate()
        else:
            self._state = copy.deepcopy(generator.bit_generator.state)

    def restore(self) -> None:
        if isinstance(self._generator, torch.Generator):
            self._generator.set_state(self._state)
        elif isinstance(self._generator, random.Random):
            self._generator.setstate(self._state)
        else:
            self._generator.bit_generator.state = self._state
