"""How large a network is."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Number of parameters, and bytes of all tensors in the state dict."""

    parameters: int
    bytes: int


def describe(module: nn.Module) -> ModelSize:
    """Count parameters, and bytes of parameters and buffers; shared ones count once.

    >>> describe(nn.Linear(3, 2))
    ModelSize(parameters=8, bytes=32)
    """
    tensors = {id(tensor): tensor for tensor in module.state_dict(keep_vars=True).values()}
    return ModelSize(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()),
    )
