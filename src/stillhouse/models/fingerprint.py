"""One short name for the exact values of a network's weights."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stillhouse.errors import WeightsError


def weights_fingerprint(module_or_state: nn.Module | Mapping[str, Tensor]) -> str:
    """SHA-256 over the sorted names, dtypes, shapes and bytes of parameters and buffers.

    Layout in memory (channels last or not), order and device do not matter; every bit of a
    value does.

    Args:
        module_or_state: a module (its state dict is taken) or a state dict.

    Returns:
        64 hexadecimal digits.

    Raises:
        WeightsError: an entry is not a tensor, or not a dense one.

    >>> weights_fingerprint({"w": torch.zeros(2)})[:8]
    'ad7dba12'
    >>> weights_fingerprint({"w": torch.zeros(2, 1)})[:8]
    '41113a0a'
    """
    state: Mapping[str, object] = (
        module_or_state.state_dict() if isinstance(module_or_state, nn.Module) else module_or_state
    )
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name]
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_meta:
            raise WeightsError(
                f"cannot fingerprint '{name}': it is no dense tensor with values "
                f"({type(tensor).__name__}); leave it out"
            )
        digest.update(f"{name!r} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
