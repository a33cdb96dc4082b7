"""Whether a network can be trained and kept: looked at before anything is trained."""

import torch
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.faults import first_line

EXTRA = "_extra_state"
"""How torch ends the names of what `get_extra_state` gives."""


def check_learnable(network: nn.Module, *, who: str) -> None:
    """Make sure that a network can learn here, and that its state can be written and read again.

    Args:
        network: that is to be trained; its values stay as they are.
        who: what the user calls it.

    Raises:
        ModelError: float16 weights, values beside its tensors, or a state that it does not read.

    >>> check_learnable(nn.Linear(2, 2).half(), who="student")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    stillhouse.errors.ModelError: student: its weights are float16, in which ...
    """
    if any(p.dtype == torch.float16 and p.requires_grad for p in network.parameters()):
        raise ModelError(
            f"{who}: its weights are float16, in which small steps are lost; give it in float32 "
            "(network.float()) and let precision: fp16 round what runs"
        )
    state = network.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor) and not name.endswith(EXTRA):
            raise ModelError(
                f"{who}: '{name}' of its state dict is of type {type(value).__name__}, and what is "
                "kept are tensors; leave it out, or give it by get_extra_state (of a quantised "
                "network, which cannot be trained, give the float one, and quantise: int8)"
            )
    try:
        network.load_state_dict(state)
    except Exception as error:  # the user's code raises what it likes
        raise ModelError(
            f"{who}: it does not read the state dict that it gives ({first_line(error)}), so its "
            "weights could not be kept; let state_dict and load_state_dict fit each other"
        ) from error
