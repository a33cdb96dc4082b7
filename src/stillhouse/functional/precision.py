"""Full precision where digits count: inside formulas, whatever precision the networks run in."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def full(value: Tensor) -> Tensor:
    """Half precision as float32; anything else as it is.

    >>> full(torch.ones(2, dtype=torch.bfloat16)).dtype, full(torch.tensor(3)).dtype
    (torch.float32, torch.int64)
    """
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which products are in the precision of their factors.

    >>> x = torch.ones(1, 1)
    >>> with torch.autocast("cpu", torch.bfloat16), without_autocast(x.device):
    ...     print((x @ x).dtype)
    torch.float32
    """
    if torch.compiler.is_compiling() or torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
